-- Rows that are ours by owner but that nobody runs (the journal went away in the middle).
select * from exchanges
where state in ('received', 'submitting', 'answered', 'retrying', 'waiting') and owner = $1 and not (id = any($2::uuid[]))
order by received_at limit $3
