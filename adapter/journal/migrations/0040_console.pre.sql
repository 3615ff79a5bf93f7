-- The console (adapter/web/console): who saw contents, who sent, replayed, resolved or edited what, and why.

create table console_journal (
    id bigint generated always as identity primary key,
    at timestamptz not null default clock_timestamp(),
    name text not null,                         -- of the token
    host text not null,                         -- machine of the console
    what text not null,                         -- revealed, sent, replayed, dropped, resolved, edited
    subject text not null,                      -- exchange:ID, case:NUMBER, locker:NUMBER, outbox:ID
    detail text not null default '',            -- what of it, in words of the console
    reason text
);
create index console_journal_subject on console_journal (subject, id);

create function refuse_console_change() returns trigger language plpgsql as $$
begin
    raise exception 'console_journal is append-only' using errcode = 'insufficient_privilege';
end $$;
create trigger console_journal_is_append_only before update or delete on console_journal
    for each row execute function refuse_console_change();
create trigger console_journal_is_not_emptied before truncate on console_journal
    for each statement execute function refuse_console_change();

-- What waits for a person is few and asked for often.
create index exchanges_for_a_person on exchanges (state, id) where state in ('dead', 'uncertain');
