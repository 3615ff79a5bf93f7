-- One row of a dead owner. It burns a crash attempt when it is about to run alone ($4); a row that was handed back has no
-- owner and burns none. What the broker returned is anybody's: its action may be served by nobody.
with claimed as (
    update exchanges set owner = $1, crash_attempts = crash_attempts + case when owner is null or not $4 then 0 else 1 end
    where id = (
        select e.id from exchanges e
        where e.state in ('received', 'submitting', 'answered') and (e.action = any($2::text[]) or e.source = $3)
            and not exists (select 1 from workers w where w.id = e.owner and w.lease_until > now())
            and (e.state <> 'answered' or e.owner is not null or e.next_at is null or e.next_at <= now())
        order by e.received_at limit 1
        for update skip locked
    )
    returning *
)
select * from claimed join incoming using (id)
