-- What the gateway told by itself of a message; tells how long it has been on its way, and whether that is news.
with before as (
    select state from shep_followed where message_id = $1 for update
)
insert into shep_followed (message_id, state, due_at) values ($1, $2, null)
on conflict (message_id) do update set
    state = $2, looks = 0, due_at = case when $3 then null else shep_followed.due_at end
returning extract(epoch from clock_timestamp() - sent_at)::double precision as age,
    service_id <> '' and state is distinct from (select state from before) as news
