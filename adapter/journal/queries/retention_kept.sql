-- Exchanges older than a moment ($1; ids below $2) by state: how many are over and would go, how many stay.
select e.state, retention_is_over(e, $1) as over, count(*) as exchanges, min(e.received_at) as since
from exchanges e where e.id < $2 and e.received_at < $1
group by 1, 2 order by 1, 2
