-- Counts one order of an account ($1) and a service ($2) unless $3 were made in the last $4 seconds; tells the wait.
select epgu_take_order($1, $2, $3, $4) as wait;
