insert into workers (id, name, lease_until) values ($1, $2, now() + $3)
on conflict (id) do update set lease_until = excluded.lease_until
