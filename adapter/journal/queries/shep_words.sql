-- What was answered in a time to synchronous requests that the ШЭП brought: who asked, who answered, when.
select
    w.at, w.request_id, w.exchange_id, c.received_at, p.meta
from last_words w
join exchanges c on c.id = w.exchange_id
join proof p on p.exchange_id = w.request_id and p.kind = 'incoming'
join exchanges r on r.id = w.request_id
where w.content is not null and w.at >= $1 and w.at < $2 and r.action = any($3::text[])
order by w.at, w.request_id
