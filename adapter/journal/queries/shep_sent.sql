-- What left for the ШЭП in a time, each message once: its bytes, what was answered at once, and what became of it.
select
    p.exchange_id, p.at, p.message_id as call_id, p.data as request, p.meta, e.action, e.state, e.gateway, e.outcome_code,
    e.received_at,
    (
        select a.content from proof a
        where a.exchange_id = p.exchange_id and a.kind = 'answer' and a.at >= p.at
        order by a.at limit 1
    ) as answer
from proof p join exchanges e on e.id = p.exchange_id
where p.kind = 'request' and p.at >= $1 and p.at < $2 and e.gateway = any($3::text[])
order by p.at, p.exchange_id
