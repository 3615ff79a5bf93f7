insert into locker_services (service) values ($1) on conflict (service) do nothing
