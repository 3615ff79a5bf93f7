-- Dead commands that nobody has dropped: the latest of these facts tells whether one was.
select e.id, e.action, e.outcome_code as code, e.finished_at as at, e.crash_attempts, e.attempts, e.gateway_id,
    e.body_size as bytes, fact.meta
from commands e
left join lateral (
    select p.kind, p.meta from proof p
    where p.exchange_id = e.id and p.kind in ('outcome', 'dropped')
    order by p.at desc limit 1
) as fact on true
where e.state = 'dead' and fact.kind is distinct from 'dropped'
    and ($1::text is null or e.action = $1) and ($2::text is null or e.outcome_code = $2)
    and ($3::timestamptz is null or e.finished_at >= $3) and ($4::timestamptz is null or e.finished_at < $4)
    and ($5::uuid[] is null or e.id = any($5))
order by e.finished_at, e.id
