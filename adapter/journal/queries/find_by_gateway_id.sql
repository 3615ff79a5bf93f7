select * from exchanges where gateway = $1 and gateway_id = $2
