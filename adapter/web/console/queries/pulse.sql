-- Changes whenever something happened to the exchange: cheap enough to be asked several times a second.
select e.state, e.attempts, e.crash_attempts, e.replies, e.events,
    (select count(*) from proof p where p.exchange_id = e.id) as facts,
    (select count(*) from outbox o where o.exchange_id = e.id and o.state = 'sent') as sent,
    (select count(*) from outbox o where o.exchange_id = e.id and o.state = 'parked') as parked
from exchanges e where e.id = $1
