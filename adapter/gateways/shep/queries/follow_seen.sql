-- What came of a look: the state, and when the next one is (null: never). Fenced by who looked.
update shep_followed set
    state = $3, changes = changes + case when state <> $3 then 1 else 0 end, looks = $4, late = $6,
    due_at = case when $5::double precision is null then null else clock_timestamp() + make_interval(secs => $5) end,
    lease_until = '-infinity'
where message_id = $1 and worker = $2 and due_at is not null
