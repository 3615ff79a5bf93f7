-- Cases to be handed out, in a locker or at the office: one page by number of registration.
select c.casenum, c.service, c.department, c.state, c.chosen, c.place, c.cell, c.put_at, c.registered_at,
    l.address, l.storage_days
from locker_cases c left join lockers l on l.number = c.place
where c.state <> 'Выдано заявителю' and ($1::text is null or c.casenum = $1)
order by c.registered_at desc, c.casenum limit $2 offset $3
