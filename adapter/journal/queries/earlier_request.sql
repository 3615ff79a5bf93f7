-- Whether a message of this subject came earlier and has not been told of yet: it has not begun, or its events are still
-- with another worker ($4 is ours, which publishes in order by itself). A parked event holds nobody up.
select exists (
    select 1 from exchanges e
    where e.lane = $1 and e.id < $2 and e.state in ('received', 'retrying') and e.gateway_id is null
        and e.action = any($3::text[])
) or exists (
    select 1 from subjects s join outbox o on o.exchange_id = s.exchange_id
    where s.subject = $1 and s.exchange_id < $2 and o.kind = 'event' and o.state = 'pending'
        and o.owner is distinct from $4
) as waits
