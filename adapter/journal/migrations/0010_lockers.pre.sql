-- Постаматы (adapter/lockers): the directory, the cases handed out through lockers, their movements.

create table lockers (
    number text primary key,                    -- digits, as the locker writes itself in its calls
    type text not null default 'МФЦ',
    address text not null,
    departments text[] not null,
    storage_days integer not null check (storage_days > 0),
    active boolean not null default true,
    added_at timestamptz not null default now(),
    changed_at timestamptz not null default now()
);

-- Services whose results may be handed out through a locker.
create table locker_services (
    service text primary key,
    permitted_at timestamptz not null default now()
);

create table locker_cases (
    casenum text primary key,
    service text not null,
    department text not null,
    phone text not null,
    chosen text references lockers (number),    -- at intake, by the applicant; kept for good
    state text not null check (state in ('на выдаче', 'В постамате', 'Выдано заявителю')),
    place text references lockers (number),
    cell text,
    put_at timestamptz,
    overdue_told_at timestamptz,                -- told once in the life of a case
    registered_at timestamptz not null default now(),
    -- A case has a place exactly while it is in a locker.
    check ((state = 'В постамате') = (place is not null)),
    check ((place is null) = (put_at is null) and (place is null) = (cell is null))
);
create index locker_cases_inside on locker_cases (place, put_at) where place is not null;

create table locker_movements (
    id bigint generated always as identity primary key,
    casenum text not null references locker_cases (casenum),
    operation text not null,
    postamatid text not null,
    cellid text not null,
    userid text not null,
    reported bigint not null,                   -- the locker's UNIX time, seconds
    at timestamptz not null,
    state text not null                         -- which the case has from here on
);
create index locker_movements_casenum on locker_movements (casenum, id);

-- Calls of lockers by what they said, so that a repeat is answered as the first one was.
create table locker_calls (
    key bytea primary key,                      -- SHA-256 of operation and parameters, without the token
    at timestamptz not null,
    name text,                                  -- of the refusal; null when it was carried out
    message text
);
create index locker_calls_at on locker_calls using brin (at);
