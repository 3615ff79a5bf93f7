update planned_work set ended_at = now(), ended_by = $2 where id = $1 and ended_at is null and ends_at > now()
returning id, gateway, service, begins_at, now() < begins_at as ahead
