-- Rows that are ours by owner but that nobody runs (the journal went away in the middle). Two halves, because each has
-- a small index of its own: the whole journal is never read.
select * from commands
where owner = $1 and not (id = any($2::uuid[])) and state in ('received', 'submitting', 'answered')
union all
select * from commands
where owner = $1 and not (id = any($2::uuid[])) and state in ('retrying', 'waiting')
order by received_at limit $3
