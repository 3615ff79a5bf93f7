-- Gives the lease of a worker ($1) back.
update epgu_follower set lease_until = '-infinity' where worker = $1;
