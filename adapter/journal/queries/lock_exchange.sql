select * from commands where id = $1 for update
