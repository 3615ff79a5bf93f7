-- Every exchange of a subject, oldest first.
select c.* from commands c join subjects s on s.exchange_id = c.id
where s.subject = $1
order by c.received_at, c.id limit $2
