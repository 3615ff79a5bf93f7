insert into locker_cases (casenum, service, department, phone, chosen, state) values ($1, $2, $3, $4, $5, $6)
on conflict (casenum) do nothing
returning casenum
