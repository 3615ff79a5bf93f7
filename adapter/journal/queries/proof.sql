insert into proof (exchange_id, kind, message_id, data, content, meta)
select * from unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::bytea[], $6::bytea[])
