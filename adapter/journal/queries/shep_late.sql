-- Messages of the ШЭП that wait for more than a day and are in no entry yet: commands that were not sent, and what was
-- brought and is not passed on. Working days are counted elsewhere: each of them has 24 hours at least.
select e.id, e.received_at
from exchanges e
where e.state in ('received', 'submitting', 'retrying') and e.action like 'shep.%' and e.received_at < now() - interval '1 day'
    and not exists (select 1 from shep_emergencies s where s.exchange_id = e.id)
union
select e.id, e.received_at
from outbox o join exchanges e on e.id = o.exchange_id
where o.state <> 'sent' and o.created_at < now() - interval '1 day' and e.action like 'shep.%'
    and not exists (select 1 from shep_emergencies s where s.exchange_id = e.id)
order by 2, 1
limit 200
