insert into console_journal (name, host, what, subject, detail, reason) values ($1, $2, $3, $4, $5, $6)
