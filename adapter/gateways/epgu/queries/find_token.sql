-- The token of an id ($1), if it has not ended.
select token from epgu_tokens where id = $1 and ends_at > now();
