-- What the ШЭП answered to calls in a time, with the call's bytes: they name the service.
select
    a.exchange_id, a.at, a.content as answer, e.state, e.gateway, e.received_at, e.finished_at,
    (
        select r.data from proof r
        where r.exchange_id = a.exchange_id and r.kind = 'request' and r.at <= a.at
        order by r.at desc limit 1
    ) as request,
    (select min(o.sent_at) from outbox o where o.exchange_id = a.exchange_id and o.created_at >= a.at) as passed_at
from proof a join exchanges e on e.id = a.exchange_id
where a.kind = 'answer' and a.at >= $1 and a.at < $2 and e.gateway = any($3::text[])
order by a.at, a.exchange_id
