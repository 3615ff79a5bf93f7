-- A person knows that the request arrived: wait for its answer, however long it takes.
update exchanges set state = 'waiting', owner = null, deadline = $2
where id = $1 and state = 'uncertain'
returning id
