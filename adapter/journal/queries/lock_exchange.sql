select * from exchanges where id = $1 for update
