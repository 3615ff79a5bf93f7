-- Whether the broker has yet to confirm something that these exchanges say, or one of them has yet to say it.
select exists (
    select 1 from outbox o where o.exchange_id = any($1::uuid[]) and o.state <> 'sent'
) or exists (
    select 1 from exchanges e where e.id = any($1::uuid[]) and e.state in ('received', 'answered')
) as waits
