-- Commands whose deadline has passed before an outcome; a running one is left to its runner.
with claimed as (
    update exchanges set owner = $1
    where id in (
        select id from exchanges
        where state in ('retrying', 'waiting') and deadline <= now()
            and not exists (select 1 from workers w where w.id = owner and w.lease_until > now()) and repeat_of is null
            and action = any($2::text[])
        order by deadline limit $3
        for update skip locked
    )
    returning *
)
select * from claimed join incoming using (id)
