-- Counts one request in every calendar period; tells how many seconds it has to wait instead where one is full.
-- $1: the limits of minute, hour, day, month and year.
select epgu_take_request($1) as wait;
