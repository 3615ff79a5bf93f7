-- One row of a dead owner: it runs alone, and only such a row burns a crash attempt. A row that was handed back has no
-- owner and burns none. What the broker returned is anybody's: its action may be served by nobody.
update exchanges set owner = $1, crash_attempts = crash_attempts + case when owner is null or not $4 then 0 else 1 end
where id = (
    select e.id from exchanges e
    where e.state in ('received', 'submitting', 'answered') and (e.action = any($2::text[]) or e.source = $3)
        and not exists (select 1 from workers w where w.id = e.owner and w.lease_until > now())
    order by e.received_at limit 1
    for update skip locked
)
returning *
