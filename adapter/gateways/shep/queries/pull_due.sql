-- The services ($2, each with its interval $3 in seconds) whose turn it is, now ours ($1) for $4 seconds; their next turn is
-- counted from now on, so that no crash brings it nearer. Of those that are only fetched when woken ($5) the woken ones.
with known as (
    insert into shep_pulls (service_id) select unnest($2::text[]) on conflict do nothing
), turn as (
    select p.service_id, i.seconds from shep_pulls p
    join unnest($2::text[], $3::double precision[], $5::boolean[]) i (service_id, seconds, asleep) using (service_id)
    where p.due_at <= clock_timestamp() and p.lease_until <= clock_timestamp() and (p.woken or not i.asleep)
    for update of p skip locked
)
update shep_pulls p set
    worker = $1, lease_until = clock_timestamp() + make_interval(secs => $4),
    due_at = clock_timestamp() + make_interval(secs => t.seconds)
from turn t where t.service_id = p.service_id
returning p.service_id
