-- What is not finished, by its partial indices: how much, and since when the oldest.
select
    (select count(*) from exchanges where state in ('received', 'submitting', 'answered')) as running,
    (select min(received_at) from exchanges where state in ('received', 'submitting', 'answered')) as running_since,
    (select count(*) from exchanges where state in ('retrying', 'waiting')) as waiting,
    (select count(*) from exchanges where state = 'retrying') as retrying,
    (select count(*) from exchanges where state = 'uncertain') as uncertain,
    (select count(*) from outbox where state = 'pending') as pending,
    (select min(created_at) from outbox where state = 'pending') as pending_since,
    (select count(*) from outbox where state = 'parked') as parked,
    (select min(created_at) from outbox where state = 'parked') as parked_since
