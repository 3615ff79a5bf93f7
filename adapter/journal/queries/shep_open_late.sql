insert into shep_emergencies (opened_by, changed_by, exchange_id, received_at)
select 'adapter', 'adapter', late.id, late.received_at
from unnest($1::uuid[], $2::timestamptz[]) as late (id, received_at)
where not exists (select 1 from shep_emergencies s where s.exchange_id = late.id)
order by late.received_at, late.id
on conflict (exchange_id) do nothing
returning number, exchange_id
