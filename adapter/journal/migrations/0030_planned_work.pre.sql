-- Planned work of a gateway, or of one service behind it: commands to it wait while it lasts (adapter/pipeline/planned.py).

create table planned_work (
    id bigint generated always as identity primary key,
    gateway text not null,
    service text not null default '',           -- '' is the whole gateway
    begins_at timestamptz not null,
    ends_at timestamptz not null,
    reason text not null,
    added_at timestamptz not null default now(),
    added_by text not null,
    ended_at timestamptz,                       -- when a person ended it early or called it off
    ended_by text,
    check (ends_at > begins_at)
);
create index planned_work_ends_at on planned_work (ends_at);
