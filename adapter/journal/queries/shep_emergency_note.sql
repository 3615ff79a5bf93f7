update shep_emergencies set
    changed_by = $2, changed_at = now(), received_at = coalesce($3, received_at), notified_at = coalesce($4, notified_at),
    arrived_at = coalesce($5, arrived_at), reason = coalesce($6, reason), measures = coalesce($7, measures),
    sent_at = coalesce($8, sent_at), person = coalesce($9, person)
where number = $1 and closed_at is null
returning number, reason, measures, sent_at, person
