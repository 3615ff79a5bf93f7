-- What is going on now or begins within a minute, in seconds from now: clocks of workers may differ.
select
    id, gateway, service,
    extract(epoch from begins_at - now())::float8 as begins_in, extract(epoch from ends_at - now())::float8 as ends_in
from planned_work
where ended_at is null and ends_at > now() and begins_at < now() + interval '1 minute'
order by id
