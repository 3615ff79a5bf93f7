-- Whose tokens serve the orders that came last, at most $1.
select who, max(accepted_at) as at from epgu_followed where stage <> 'ended' and not needs_token
group by who order by at desc limit $1;
