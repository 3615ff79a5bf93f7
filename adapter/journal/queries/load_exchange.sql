select * from exchanges where id = $1
