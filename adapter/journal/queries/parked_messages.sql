-- Replies and events that no queue took, or that the broker refused.
select o.id, o.created_at, o.kind, o.exchange_id, e.action, o.reason as code, o.created_at as at, o.attempts,
    o.target, o.routing_key, o.next_at, octet_length(o.body) as bytes
from outbox o left join exchanges e on e.id = o.exchange_id
where o.state = 'parked'
    and ($1::text is null or e.action = $1) and ($2::text is null or o.reason = $2)
    and ($3::timestamptz is null or o.created_at >= $3) and ($4::timestamptz is null or o.created_at < $4)
    and ($5::uuid[] is null or o.id = any($5) or o.exchange_id = any($5))
order by o.created_at, o.id
