-- A redelivery without identity matches at most one row whose ack the broker may not have processed.
update exchanges set delivery_session = $2
where id = (
    select id from exchanges
    where fingerprint = $1 and not settled and delivery_session is distinct from $2
    order by received_at limit 1
    for update skip locked
)
returning id
