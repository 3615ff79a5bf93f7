-- What the ШЭП told of the delivery of our messages since a moment, oldest first.
select p.meta
from exchanges e join proof p on p.exchange_id = e.id and p.kind = 'incoming' and p.at >= $1
where e.action = $2 and e.received_at >= $1
order by e.received_at, e.id
