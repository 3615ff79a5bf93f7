-- What people did to one subject, newest first.
select at, name, host, what, detail, reason from console_journal where subject = $1 order by id desc limit 50
