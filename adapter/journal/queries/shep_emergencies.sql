select
    number, opened_at, opened_by, exchange_id, received_at, notified_at, arrived_at, reason, measures, sent_at, person,
    changed_at, changed_by, closed_at
from shep_emergencies
where ($1::timestamptz is null or opened_at >= $1) and ($2::timestamptz is null or opened_at < $2)
    and (not $3::boolean or closed_at is null)
order by number
