select * from commands where gateway = $1 and gateway_id = $2
