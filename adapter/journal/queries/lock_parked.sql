-- One parked message that no living worker is publishing; locked, so that none claims it meanwhile.
select * from outbox
where created_at = $1 and id = $2 and state = 'parked'
    and not exists (select 1 from workers w where w.id = outbox.owner and w.lease_until > now())
for update skip locked
