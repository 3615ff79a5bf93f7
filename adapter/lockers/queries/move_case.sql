update locker_cases set state = $2, place = $3, cell = $4, put_at = $5 where casenum = $1
