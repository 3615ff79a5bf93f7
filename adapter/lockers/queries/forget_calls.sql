delete from locker_calls where at < $1
