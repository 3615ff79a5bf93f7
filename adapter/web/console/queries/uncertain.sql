select e.id, e.action, e.received_at, e.operation, e.gateway, e.gateway_id, e.attempts
from exchanges e where e.state = 'uncertain'
order by e.id limit $1
