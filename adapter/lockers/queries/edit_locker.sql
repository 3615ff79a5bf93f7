update lockers set
    address = coalesce($2, address), departments = coalesce($3::text[], departments),
    storage_days = coalesce($4, storage_days), active = coalesce($5, active), changed_at = now()
where number = $1
returning number, type, address, departments, storage_days, active
