-- The intent to call: from here on bytes may leave.
update exchanges e set
    state = 'submitting', gateway = u.gateway, operation = u.operation, gateway_id = u.gateway_id,
    minted_at = u.minted_at, attempts = e.attempts + 1, events = e.events + u.events
from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::integer[])
    as u (id, owner, gateway, operation, gateway_id, minted_at, events)
where e.id = u.id and e.owner = u.owner and e.state in ('received', 'retrying', 'submitting', 'answered')
returning e.id
