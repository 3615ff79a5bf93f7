-- Keeps a token ($2) under the SHA-256 of it ($1) until it ends ($3); those that have ended go.
with ended as (
    delete from epgu_tokens where ends_at <= now()
)
insert into epgu_tokens (id, token, ends_at)
values ($1, $2, $3)
on conflict (id) do nothing;
