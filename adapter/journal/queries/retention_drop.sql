-- Drop one day of proof or outbox, and say what became of it.
select retention_drop($1, $2)
