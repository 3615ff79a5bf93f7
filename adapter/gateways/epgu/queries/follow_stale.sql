-- Orders whose status was not asked for by their number for $1 seconds, at most $2.
select order_id from epgu_followed
where stage <> 'ended' and checked_at <= now() - make_interval(secs => $1)
order by checked_at limit $2;
