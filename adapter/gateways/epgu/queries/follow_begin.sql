-- Follows an order ($1) that was accepted for a command ($2) by a holder ($3) and a profile ($4); anew if it was before.
insert into epgu_followed (order_id, exchange_id, who, profile, stage, due_at)
values ($1, $2, $3, $4, 'processing', now())
on conflict (order_id) do update set
    exchange_id = excluded.exchange_id, who = excluded.who, profile = excluded.profile, stage = excluded.stage,
    from_cancel = false, doubtful = false, due_at = excluded.due_at, looks = 0, needs_token = false,
    version = epgu_followed.version + 1;
