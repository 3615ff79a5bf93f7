-- Notes what a reading of an order ($1) came to: stage ($2), statuses told by it ($3), readings in vain ($4), seconds to
-- the next one or none ($5), whether a token is needed ($6), and whether what pages said is to be seen anew ($7).
update epgu_followed set
    stage = $2, told = told || $3::text[], looks = $4,
    due_at = case when $2 <> 'ended' then now() + make_interval(secs => $5::double precision) end, needs_token = $6,
    seen = case when $7 then null else seen end
where order_id = $1;
