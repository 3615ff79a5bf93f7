-- An answer: any worker may journal it, in any state that can still be answered.
update exchanges e set state = 'answered', owner = u.owner
from unnest($1::text[], $2::text[], $3::uuid[]) as u (gateway, gateway_id, owner)
where e.gateway = u.gateway and e.gateway_id = u.gateway_id
    and e.state in ('submitting', 'waiting', 'retrying', 'uncertain', 'expired')
returning e.*
