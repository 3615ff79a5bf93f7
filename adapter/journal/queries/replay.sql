-- A dead command goes on from where the journal says it stood; its replies stay counted, so the next one is late.
update exchanges set
    state = $2, owner = null, crash_attempts = 0, deadline = $3, next_at = null,
    outcome = null, outcome_code = null, finished_at = null
where id = $1 and state = 'dead'
returning id
