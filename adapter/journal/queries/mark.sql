-- What became of published rows. A parked row is tried again later; it is never dropped.
update outbox o set
    state = u.state, reason = u.reason, attempts = o.attempts + 1, owner = null,
    next_at = now() + u.delay, sent_at = case when u.state = 'sent' then now() end
from unnest($1::timestamptz[], $2::uuid[], $3::text[], $4::text[], $5::interval[])
    as u (created_at, id, state, reason, delay)
where o.created_at = u.created_at and o.id = u.id and o.state <> 'sent'
