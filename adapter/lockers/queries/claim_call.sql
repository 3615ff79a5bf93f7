insert into locker_calls (key, at) values ($1, $2) on conflict (key) do nothing returning key
