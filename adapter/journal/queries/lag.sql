-- The oldest command of each action that nobody has begun, in seconds.
select action, extract(epoch from now() - min(received_at))::float8 as oldest
from exchanges where state = 'received' group by action
