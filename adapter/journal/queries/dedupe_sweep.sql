-- Identities older than DEDUPE_DAYS whose exchange has ended; so many at a time.
with gone as (
    delete from command_key where key in (
        select k.key from command_key k left join exchanges e on e.id = k.exchange_id
        where k.created_at < now() - $1::interval and (e.id is null or e.finished_at is not null)
        limit $2
    )
    returning 1
)
select count(*) from gone
