-- Form 7 of order № 104: what was late by more than one working day, or failed otherwise (adapter/shep_journals).

create table shep_emergencies (
    number bigint generated always as identity primary key,
    opened_at timestamptz not null default now(),
    opened_by text not null,                    -- adapter, or who typed the command
    exchange_id uuid unique,                    -- of the message that waits; null for what people noticed
    received_at timestamptz not null,
    notified_at timestamptz,
    arrived_at timestamptz,
    reason text,
    measures text,
    sent_at timestamptz,
    person text,
    changed_at timestamptz not null default now(),
    changed_by text not null,
    closed_at timestamptz
);
create index shep_emergencies_open on shep_emergencies (opened_at) where closed_at is null;
