-- Who holds these identities.
select key, exchange_id, body_sha256 from command_key where key = any($1::bytea[])
