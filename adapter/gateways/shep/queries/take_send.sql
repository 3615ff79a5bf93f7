-- Counts one send to a delivery point ($1) unless $2 were made in the last $3 seconds; tells the wait.
select shep_take_send($1, $2, $3) as wait
