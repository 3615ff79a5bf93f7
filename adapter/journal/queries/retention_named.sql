-- What the facts of exchanges ($1) say of files: by their digest, in what was noted or in a short text that was sent.
select meta, case when octet_length(data) <= 65536 then data end as data from proof where exchange_id = any($1::uuid[])
