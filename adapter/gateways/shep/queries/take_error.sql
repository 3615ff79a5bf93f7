-- Counts one failed call on a delivery point ($1); tells how many there were in the last $2 seconds.
select shep_take_error($1, $2) as count
