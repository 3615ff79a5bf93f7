update shep_emergencies set closed_at = now() where number = $1 and closed_at is null
