select
    c.casenum, c.service, c.department, c.phone, c.chosen, c.state, c.place, c.cell, c.put_at,
    l.number, l.type, l.address, l.departments, l.storage_days, l.active
from locker_cases c join lockers l on l.number = c.place
order by c.put_at, c.casenum
