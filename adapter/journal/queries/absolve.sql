-- The row did not run alone to its end: a crash from now on may be anybody's.
update exchanges set crash_attempts = crash_attempts - 1 where id = $1 and owner = $2 and crash_attempts > 0
