-- Messages of the ШЭП that wait for more than a day and are in no entry yet: commands that were not sent, and what was
-- brought and is not passed on. Working days are counted elsewhere: each of them has 24 hours at least. Three parts,
-- because each has a small index of its own.
with waiting as (
    select id, received_at, action from exchanges
    where state in ('received', 'submitting') and received_at < now() - interval '1 day'
    union
    select id, received_at, action from exchanges
    where state = 'retrying' and received_at < now() - interval '1 day'
    union
    select e.id, e.received_at, e.action from outbox o join exchanges e on e.id = o.exchange_id
    where o.state <> 'sent' and o.created_at < now() - interval '1 day'
)
select w.id, w.received_at from waiting w
where w.action like 'shep.%' and not exists (select 1 from shep_emergencies s where s.exchange_id = w.id)
order by w.received_at, w.id
limit 200
