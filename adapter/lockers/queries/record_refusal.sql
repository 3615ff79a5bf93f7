update locker_calls set name = $2, message = $3 where key = $1
