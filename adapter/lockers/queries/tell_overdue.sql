-- Each case once, whoever asks at the same moment: the rows are marked as they are read.
with late as materialized (
    select o.casenum from locker_cases o join lockers p on p.number = o.place
    where o.overdue_told_at is null and o.put_at + make_interval(hours => 24 * p.storage_days) < $1
    order by o.put_at limit $2
    for update of o skip locked
)
update locker_cases c set overdue_told_at = $1
from late, lockers l
where c.casenum = late.casenum and l.number = c.place
returning
    c.casenum, c.service, c.department, c.phone, c.chosen, c.state, c.place, c.cell, c.put_at,
    l.number, l.type, l.address, l.departments, l.storage_days, l.active
