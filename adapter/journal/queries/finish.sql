-- The outcome. A row without an owner (waiting, a sweep) is fenced by its state alone.
update exchanges e set
    state = u.state, owner = null, outcome = coalesce(u.outcome, e.outcome),
    outcome_code = case when u.outcome is null then e.outcome_code else u.code end,
    finished_at = now(), replies = e.replies + u.replies, events = e.events + u.events
from unnest(
    $1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bytea[], $6::text[], $7::integer[], $8::integer[]
) as u (id, owner, from_state, state, outcome, code, replies, events)
where e.id = u.id and e.state = u.from_state and e.owner is not distinct from u.owner
returning e.id
