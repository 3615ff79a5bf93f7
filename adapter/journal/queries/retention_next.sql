-- The next exchanges behind an id ($1) and below another ($2).
select id from exchanges where id > $1 and id < $2 order by id limit $3
