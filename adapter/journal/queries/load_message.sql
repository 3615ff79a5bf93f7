select * from outbox where created_at = $1 and id = $2
