select at, kind, message_id, data, content, meta from proof where exchange_id = $1 and kind = any($2::text[]) order by at
