-- The gateway delivers again.
update shep_pulls set woken = false where service_id = any($1::text[]) and woken returning service_id
