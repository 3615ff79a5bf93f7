-- Exchanges older than a moment ($1; ids below $2) by state: how many are over and would go, how many stay.
select e.state, o.id is not null as over, count(*) as exchanges, min(e.received_at) as since
from exchanges e left join retention_over('00000000-0000-0000-0000-000000000000', $2, $1) as o (id) on o.id = e.id
where e.id < $2 and e.received_at < $1
group by 1, 2 order by 1, 2
