-- Rows whose publisher is gone or has lost them, and parked ones whose turn has come.
update outbox o set owner = $1, next_at = now() + interval '1 minute'
from (
    select created_at, id from outbox
    where state <> 'sent' and next_at <= now()
        and not exists (
            select 1 from workers w where w.id = outbox.owner and w.lease_until > now() and w.id <> $1
        )
        and not (id = any($2::uuid[]))
    order by next_at limit $3
    for update skip locked
) as due
where o.created_at = due.created_at and o.id = due.id
returning o.*
