-- Rows whose publisher is gone or has lost them, and parked ones whose turn has come; large ones a few at a time.
with due as (
    select created_at, id, next_at, octet_length(body) as size from outbox
    where state <> 'sent' and next_at <= now()
        and not exists (
            select 1 from workers w where w.id = outbox.owner and w.lease_until > now() and w.id <> $1
        )
        and not (id = any($2::uuid[]))
    order by next_at limit $3
    for update skip locked
), counted as (
    select created_at, id, size, sum(size) over (order by next_at, created_at, id) as total from due
)
update outbox o set owner = $1, next_at = now() + interval '5 seconds'
from counted c
where o.created_at = c.created_at and o.id = c.id and (c.total <= $4 or c.total = c.size)
returning o.*
