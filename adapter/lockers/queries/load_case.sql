select casenum, service, department, phone, chosen, state, place, cell, put_at from locker_cases where casenum = $1
