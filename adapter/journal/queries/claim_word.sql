-- Have the last word to a request, or learn who has it: $1 the request, $2 whose word it is, $3 the word where somebody
-- holds the request open. A word that came to nothing gives way (as in last_word.sql): it was refused, rejected later, or
-- never left. One that was handed to a waiting caller does not.
with claimed as (
    insert into last_words as w (request_id, exchange_id, content) values ($1, $2, $3)
    on conflict (request_id) do update
        set exchange_id = excluded.exchange_id, content = coalesce(w.content, excluded.content), at = now()
        where w.exchange_id = excluded.exchange_id or w.content is null and (
            exists (
                select 1 from exchanges e
                where e.id = w.exchange_id
                    and (e.state in ('rejected', 'failed', 'expired') or e.state = 'dead' and e.gateway_id is null)
            ) or exists (
                select 1 from proof p
                where p.exchange_id = w.exchange_id and p.kind = 'answer'
                    and convert_from(p.meta, 'UTF8')::jsonb ->> 'kind' = 'rejection'
            )
        )
    returning exchange_id, content
)
select exchange_id, content from claimed
union all
select exchange_id, content from last_words where request_id = $1 and not exists (select 1 from claimed)
