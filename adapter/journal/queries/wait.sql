-- The gateway took it: the exchange leaves memory until an answer comes.
update exchanges e set state = 'waiting', owner = null, events = e.events + u.events
from unnest($1::uuid[], $2::uuid[], $3::integer[]) as u (id, owner, events)
where e.id = u.id and e.owner = u.owner and e.state = 'submitting'
returning e.id
