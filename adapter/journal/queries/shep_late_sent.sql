-- What was sent after all: a command when its bytes left, what was brought when it was passed on.
with gone as (
    select s.number, case
        when e.source = 'shep' then
            (select max(o.sent_at) from outbox o where o.exchange_id = e.id having bool_and(o.state = 'sent'))
        else (select min(p.at) from proof p where p.exchange_id = e.id and p.kind = 'request')
    end as at
    from shep_emergencies s join exchanges e on e.id = s.exchange_id
    where s.closed_at is null and s.sent_at is null
)
update shep_emergencies s set sent_at = gone.at, changed_at = now(), changed_by = 'adapter'
from gone where gone.number = s.number and gone.at is not null
returning s.number
