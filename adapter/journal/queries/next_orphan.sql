-- Whether the row that claim_orphan would take is suspected of a crash: its owner died, or it has burned attempts before.
select e.owner is not null or e.crash_attempts > 0 as suspect from exchanges e
where e.state in ('received', 'submitting', 'answered') and (e.action = any($1::text[]) or e.source = $2)
    and not exists (select 1 from workers w where w.id = e.owner and w.lease_until > now())
    and (e.state <> 'answered' or e.owner is not null or e.next_at is null or e.next_at <= now())
order by e.received_at limit 1
