-- A redelivery matches at most one row whose ack the broker may not have processed. A row that is being changed is
-- waited for, never skipped: skipped, it would look like a command that has never been seen.
update exchanges set delivery_session = $2
where id = (
    select id from exchanges
    where fingerprint = $1 and not settled and delivery_session is distinct from $2
    order by received_at limit 1
    for update
)
returning id
