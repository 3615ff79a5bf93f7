select exists (select from locker_services where service = $1) as permitted
