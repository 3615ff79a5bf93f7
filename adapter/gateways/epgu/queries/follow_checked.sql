-- Notes that the statuses of orders ($1) were asked for by their numbers.
update epgu_followed set checked_at = now() where order_id = any($1::bigint[]);
