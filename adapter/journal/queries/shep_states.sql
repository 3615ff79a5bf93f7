-- What the ШЭП told of the delivery of our messages since a moment, oldest first.
select p.meta
from proof p join exchanges e on e.id = p.exchange_id
where p.kind = 'incoming' and p.at >= $1 and e.action = $2
order by p.at, p.exchange_id
