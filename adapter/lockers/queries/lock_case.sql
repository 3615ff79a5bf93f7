-- Whoever moves a case holds it: the next one sees where it is then.
select casenum, service, department, phone, chosen, state, place, cell, put_at from locker_cases where casenum = $1
for update
