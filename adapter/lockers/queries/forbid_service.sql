delete from locker_services where service = $1
