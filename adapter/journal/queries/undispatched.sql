select count(*) from (select 1 from exchanges where state = 'received' limit $1) as some
