-- Repeats of commands that have just ended.
select * from exchanges where repeat_of = any($1::uuid[]) and state = 'waiting'
