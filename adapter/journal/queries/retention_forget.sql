-- Remove what is over: $1 the last id of the call before, $2 ids from here on are too young, $3 the moment, $4 how many.
select last, forgotten from retention_forget($1, $2, $3, $4)
