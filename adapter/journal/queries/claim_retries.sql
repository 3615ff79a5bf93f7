with claimed as (
    update exchanges set owner = $1
    where id in (
        select id from exchanges
        where state = 'retrying' and next_at <= now()
            and not exists (select 1 from workers w where w.id = owner and w.lease_until > now()) and action = any($2::text[])
        order by next_at limit $3
        for update skip locked
    )
    returning *
)
select * from claimed join incoming using (id)
