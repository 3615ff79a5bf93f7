-- Journal what came in.
insert into exchanges (
    id, action, source, state, received_at, deadline, body, body_sha256, body_size, properties,
    correlation, message_id, fingerprint, delivery_session, refusal, repeat_of, owner
)
select * from unnest(
    $1::uuid[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::bytea[], $8::bytea[],
    $9::bigint[], $10::bytea[], $11::text[], $12::text[], $13::bytea[], $14::text[], $15::text[], $16::uuid[],
    $17::uuid[]
)
