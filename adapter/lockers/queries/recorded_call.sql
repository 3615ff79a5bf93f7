select name, message from locker_calls where key = $1
