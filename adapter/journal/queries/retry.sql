-- Durable back-off inside the deadline; a re-minted call forgets its id.
update exchanges e set
    state = 'retrying', owner = null, next_at = now() + u.delay,
    attempts = e.attempts + case when e.state = 'submitting' then 0 else 1 end,
    gateway_id = case when u.remint then null else e.gateway_id end
from unnest($1::uuid[], $2::uuid[], $3::interval[], $4::boolean[]) as u (id, owner, delay, remint)
where e.id = u.id and e.owner = u.owner and e.state in ('received', 'submitting', 'retrying')
returning e.id
