-- Names of the events that an exchange has told already.
select distinct routing_key from outbox where exchange_id = $1 and kind = 'event'
