-- The publisher has it in memory: only if it is still unsent after a while has it been lost there.
insert into outbox (id, created_at, exchange_id, kind, target, routing_key, message_id, body, properties, owner, next_at)
select u.*, now() + interval '5 seconds' from unnest(
    $1::uuid[], $2::timestamptz[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bytea[],
    $9::bytea[], $10::uuid[]
) as u
