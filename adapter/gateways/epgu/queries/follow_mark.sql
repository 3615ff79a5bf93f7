-- Notes what pages say: orders ($1) and their current statuses ($2). Details are read of those that were not told.
update epgu_followed o set
    seen = n.seen,
    due_at = case when o.needs_token or n.seen = any(o.told) then o.due_at else now() end,
    looks = 0
from unnest($1::bigint[], $2::text[]) as n (order_id, seen)
where o.order_id = n.order_id and o.stage <> 'ended' and o.seen is distinct from n.seen
returning o.order_id;
