-- What people did to one thing under its names, newest first.
select at, name, host, what, detail, reason from console_journal where subject = any($1::text[]) order by id desc limit 50
