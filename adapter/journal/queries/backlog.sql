-- How much of each kind is open, counted no further than $1 each, and how old the oldest is, in seconds.
select kind, label, count(*) as count, coalesce(extract(epoch from now() - min(since)), 0)::float8 as oldest
from (
    (select 'exchanges' as kind, state as label, received_at as since from exchanges
     where state in ('received', 'submitting', 'answered') limit $1)
    union all
    (select 'exchanges', 'retrying', received_at from exchanges where state = 'retrying' limit $1)
    union all
    (select 'exchanges', 'waiting', received_at from exchanges where state = 'waiting' limit $1)
    union all
    (select 'exchanges', e.state, e.finished_at from exchanges e
     where e.state in ('uncertain', 'dead') and (
         e.state = 'uncertain' or 'dropped' is distinct from (
             select p.kind from proof p
             where p.exchange_id = e.id and p.kind in ('outcome', 'dropped') order by p.at desc limit 1
         )
     ) limit $1)
    union all
    (select 'outbox', state, created_at from outbox where state <> 'sent' limit $1)
) as open
group by kind, label
