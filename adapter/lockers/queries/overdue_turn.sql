-- One worker at a time looks for overdue cases; the turn ends with the transaction.
select pg_try_advisory_xact_lock(hashtextextended('postamat.case-overdue', 0)) as ours
