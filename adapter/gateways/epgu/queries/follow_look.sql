-- An order ($1) as it was read, unless a command has changed it meanwhile ($2).
select * from epgu_followed where order_id = $1 and version = $2 for update;
