-- What the ШЭП brought in a time, and when it was passed on.
select
    e.id as exchange_id, e.action, e.state, e.outcome_code, e.received_at as at, e.finished_at, p.meta,
    (select min(o.sent_at) from outbox o where o.exchange_id = e.id) as passed_at
from proof p join exchanges e on e.id = p.exchange_id
where p.kind = 'incoming' and p.at >= $1 and p.at < $2 and e.action = any($3::text[])
order by e.received_at, e.id
