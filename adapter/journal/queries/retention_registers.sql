-- Small registers: calls of lockers before a moment ($1), tokens that have ended, orders that no limit counts any more or
-- that are not followed any more, planned work that is over.
with calls as (
    delete from locker_calls where at < $1 returning 1
), tokens as (
    delete from epgu_tokens where ends_at <= now() returning 1
), orders as (
    delete from epgu_orders_made where at < now() - interval '1 day' returning 1
), followed as (
    delete from epgu_followed f
    where f.stage = 'ended' and f.checked_at < $1 and not exists (select 1 from exchanges e where e.id = f.exchange_id)
    returning 1
), planned as (
    delete from planned_work where ends_at < $1 returning 1
)
select (select count(*) from calls) as calls, (select count(*) from tokens) as tokens,
    (select count(*) from orders) as orders, (select count(*) from followed) as followed,
    (select count(*) from planned) as planned
