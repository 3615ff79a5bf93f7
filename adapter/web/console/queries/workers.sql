-- Workers that live, and those of the last hour that do not.
select name, started_at, lease_until, lease_until > now() as alive
from workers where lease_until > now() - interval '1 hour'
order by alive desc, started_at
