-- Takes or renews the lease of the follower for a worker ($1) and so many seconds ($2); no row while another holds it.
update epgu_follower set worker = $1, lease_until = clock_timestamp() + make_interval(secs => $2)
where worker = $1 or lease_until < clock_timestamp()
returning worker;
