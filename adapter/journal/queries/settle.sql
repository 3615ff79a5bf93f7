update exchanges set settled = true where id = any($1::uuid[])
