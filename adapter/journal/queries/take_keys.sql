-- Claim identities; returns those that were new. A repeat inside the same batch is not new either.
-- In one order everywhere: two workers that take the same keys wait for each other and never in a circle.
insert into command_key (key, exchange_id, body_sha256)
select * from unnest($1::bytea[], $2::uuid[], $3::bytea[]) as u (key, exchange_id, body_sha256)
order by u.key
on conflict (key) do nothing
returning key
