-- Follows an order ($1) that may have been accepted for a command ($2), by a holder ($3) and a profile ($4).
insert into epgu_followed (order_id, exchange_id, who, profile, stage, due_at, doubtful)
values ($1, $2, $3, $4, 'processing', now(), true)
on conflict (order_id) do nothing;
