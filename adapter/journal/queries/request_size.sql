-- Bytes of the latest request of an exchange, before they are fetched.
select coalesce((
    select octet_length(data) from proof where exchange_id = $1 and kind = 'request' order by at desc limit 1
), 0) as bytes
