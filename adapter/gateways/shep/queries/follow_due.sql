-- Messages to be looked at, now ours ($1) for $2 seconds.
with turn as (
    select message_id from shep_followed
    where due_at <= clock_timestamp() and lease_until <= clock_timestamp() and service_id <> ''
    order by due_at limit $3
    for update skip locked
)
update shep_followed f set worker = $1, lease_until = clock_timestamp() + make_interval(secs => $2)
from turn t where t.message_id = f.message_id
returning f.message_id, f.service_id, f.state, f.changes, f.looks, f.late,
    extract(epoch from clock_timestamp() - f.sent_at)::double precision as age
