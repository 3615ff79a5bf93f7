-- The last words to requests that somebody here holds open.
select request_id, content from last_words where request_id = any($1::uuid[])
