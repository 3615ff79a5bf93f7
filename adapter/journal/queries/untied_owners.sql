-- Commands that may turn out to be the owner of a message ($5, which came at $3): their calls ($1) left before it came, and
-- no answer has tied them (by the word $6). With a room ($2) they are those of that note, and those whose answer is lost are
-- among them, unless the message's own subject ($4) was there before: then its chain is somebody else's. The workers'
-- clocks may differ a little.
select c.* from commands c
where c.id in (
    select e.id from exchanges e
    where e.state in ('submitting', 'answered') and e.operation = any($1::text[])
        and e.minted_at <= $3::timestamptz + interval '5 seconds'
    union all
    select e.id from exchanges e
    where $2::text <> '' and e.state = 'uncertain' and e.operation = any($1::text[])
        and e.minted_at <= $3::timestamptz + interval '5 seconds'
        and not exists (select 1 from subjects s where s.subject = $4::text and s.exchange_id < $5::uuid)
) and ($2::text = '' or exists (select 1 from subjects r where r.exchange_id = c.id and r.note = $2))
and not exists (
    select 1 from subjects t where t.exchange_id = c.id and $6::text = any(string_to_array(t.note, ' '))
)
order by c.id limit 20
