-- Handed back like the rows of a worker that ends: whoever takes it up burns no crash attempt.
update exchanges set owner = null where id = $1 and owner = $2 and state = 'answered'
