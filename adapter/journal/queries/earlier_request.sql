-- Whether a message of this subject came earlier and has not been told of yet.
select exists (
    select 1 from exchanges e
    where e.lane = $1 and e.id < $2 and e.state in ('received', 'retrying') and e.gateway_id is null
        and e.action = any($3::text[])
) as waits
