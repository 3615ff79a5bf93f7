insert into planned_work (gateway, service, begins_at, ends_at, reason, added_by) values ($1, $2, $3, $4, $5, $6)
returning id
