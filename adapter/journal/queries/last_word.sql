-- Whose last word to a request stands; none where it came to nothing (as in claim_word.sql).
select w.exchange_id from last_words w left join exchanges e on e.id = w.exchange_id
where w.request_id = $1 and (
    w.content is not null or e.id is null or not (
        e.state in ('rejected', 'failed', 'expired') or e.state = 'dead' and e.gateway_id is null or exists (
            select 1 from proof p
            where p.exchange_id = w.exchange_id and p.kind = 'answer'
                and convert_from(p.meta, 'UTF8')::jsonb ->> 'kind' = 'rejection'
        )
    )
)
