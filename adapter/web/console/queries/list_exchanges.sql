-- One page, newest first: ids are ordered by time, so the primary key is the order, and a page costs what it shows.
select e.id, e.action, e.state, e.outcome_code as code, e.received_at, e.finished_at, e.attempts, e.repeat_of,
    i.message_id, length(i.properties) = 0 as born_at_gateway
from exchanges e join incoming i on i.id = e.id
where ($1::text is null or e.action = $1) and ($2::text is null or e.state = $2)
    and ($3::text is null or e.outcome_code = $3)
    and ($4::uuid is null or e.id >= $4) and ($5::uuid is null or e.id < $5)
order by e.id desc limit $6
