-- Whose last word to a request stands; none where it came to nothing.
select w.exchange_id from last_words w left join exchanges e on e.id = w.exchange_id
where w.request_id = $1 and (w.content is not null or e.id is null or e.state not in ('rejected', 'failed', 'expired'))
