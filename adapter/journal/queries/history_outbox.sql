-- Every message about an exchange, oldest first; bytes only where they are asked for.
select id, created_at, kind, target, routing_key, message_id, state, reason, attempts, next_at, sent_at,
    octet_length(body) as bytes,
    case when $2::boolean then body end as body, case when $2::boolean then properties end as properties
from outbox where exchange_id = $1
order by created_at, id
