-- The lease, if a worker ($1) holds it; nobody takes it before this transaction has ended.
select 1 from epgu_follower where worker = $1 and lease_until > clock_timestamp() for share;
