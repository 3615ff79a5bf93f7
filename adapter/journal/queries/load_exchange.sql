select * from commands where id = $1
