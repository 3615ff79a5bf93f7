insert into shep_emergencies (opened_by, changed_by, received_at, notified_at, arrived_at, reason, measures, sent_at, person)
values ($1, $1, $2, $3, $4, $5, $6, $7, $8)
returning number
