-- Events published beside no change of state keep their numbers too.
update exchanges e set events = e.events + u.events
from (
    select id, sum(events)::integer as events from unnest($1::uuid[], $2::integer[]) as t (id, events) group by id
) as u
where e.id = u.id
