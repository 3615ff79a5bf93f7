-- Every fact of an exchange, oldest first; bytes only where they are asked for.
select at, kind, message_id, octet_length(data) as bytes, meta,
    case when $2::boolean then data end as data, case when $2::boolean then content end as content
from proof where exchange_id = $1
order by at, kind, message_id
