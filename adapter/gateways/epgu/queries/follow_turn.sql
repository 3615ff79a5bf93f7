-- Whether changes are to be asked for again, $1 seconds after the last time, since when, and whether anybody wants them.
select
    f.asked_at, now() as now, f.asked_at is null or f.asked_at <= now() - make_interval(secs => $1) as due,
    exists (select from epgu_followed o where o.stage <> 'ended') as wanted
from epgu_follower f;
