-- Events published beside no change of state keep their numbers too.
update exchanges e set events = e.events + u.events
from unnest($1::uuid[], $2::integer[]) as u (id, events)
where e.id = u.id
