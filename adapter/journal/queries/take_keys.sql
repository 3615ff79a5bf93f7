-- Claim identities; returns those that were new. A repeat inside the same batch is not new either.
insert into command_key (key, exchange_id, body_sha256)
select * from unnest($1::bytea[], $2::uuid[], $3::bytea[])
on conflict (key) do nothing
returning key
