-- The intent to call: from here on bytes may leave. Fenced by what the caller knows of the row.
update exchanges e set
    state = 'submitting', gateway = u.gateway, operation = u.operation, gateway_id = u.gateway_id,
    minted_at = u.minted_at, attempts = e.attempts + 1, events = e.events + u.events
from unnest(
    $1::uuid[], $2::uuid[], $3::text[], $4::integer[], $5::text[], $6::text[], $7::text[], $8::timestamptz[],
    $9::integer[]
) as u (id, owner, from_state, attempts, gateway, operation, gateway_id, minted_at, events)
where e.id = u.id and e.owner = u.owner and e.state = u.from_state and e.attempts = u.attempts
    and e.state in ('received', 'retrying', 'submitting', 'answered')
returning e.id
