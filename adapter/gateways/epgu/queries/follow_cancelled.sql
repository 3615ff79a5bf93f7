-- Looks at an order ($1) whose cancellation was accepted for a command ($2) by a holder ($3) and a profile ($4). One that
-- is not followed is from now on, for that command.
insert into epgu_followed (order_id, exchange_id, who, profile, stage, from_cancel, due_at)
values ($1, $2, $3, $4, 'statuses', true, now())
on conflict (order_id) do update set
    stage = case epgu_followed.stage when 'ended' then 'statuses' else epgu_followed.stage end,
    who = case when epgu_followed.needs_token then excluded.who else epgu_followed.who end,
    due_at = excluded.due_at, looks = 0, needs_token = false, version = epgu_followed.version + 1;
