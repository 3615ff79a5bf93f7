-- Let go of a service.
update shep_pulls set lease_until = '-infinity' where service_id = $1 and worker = $2
