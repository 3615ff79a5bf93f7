-- Gives an order ($1) that lives on tokens of commands, or that has none, a newer one ($2).
update epgu_followed set
    who = $2, due_at = case when needs_token then now() else due_at end, looks = 0, needs_token = false,
    version = version + 1
where order_id = $1 and stage <> 'ended' and (needs_token or who ? 'token') and who <> $2::jsonb;
