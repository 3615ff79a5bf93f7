-- The exchange that a command of ours has become, once a worker has journaled it.
select e.id from exchanges e join incoming i on i.id = e.id where i.message_id = $1 order by e.id limit 1
