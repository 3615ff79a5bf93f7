-- What is planned or goes on; with $1 also what is over.
select
    id, gateway, service, begins_at, ends_at, reason, added_at, added_by, ended_at, ended_by,
    case
        when ended_at is not null then case when ended_at <= begins_at then 'called off' else 'ended early' end
        when ends_at <= now() then 'over'
        when begins_at <= now() then 'goes on'
        else 'planned'
    end as state
from planned_work
where $1 or (ended_at is null and ends_at > now())
order by begins_at, id
