-- Lets a command wait for the end of planned work: no attempt counts, because none was made. What was told once is not
-- told again ($4 is the meta of its fact): a row that waits already may be put aside many times.
with aside as (
    update exchanges set
        state = case state when 'answered' then state else 'retrying' end, owner = null,
        next_at = now() + make_interval(secs => $3)
    where id = $1 and owner = $2 and state in ('received', 'retrying', 'submitting', 'answered')
    returning id, gateway_id
), told as (
    insert into proof (exchange_id, kind, message_id, meta)
    select id, 'retry', gateway_id, $4 from aside where $4::bytea is not null
)
select id from aside
