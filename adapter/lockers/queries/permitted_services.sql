select service from locker_services order by service
