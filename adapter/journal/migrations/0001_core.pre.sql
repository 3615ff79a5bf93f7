-- The core of the journal (ARCHITECTURE, Journal): exchanges, proof, outbox, command_key; and the workers' leases.

create table workers (
    id uuid primary key,
    name text not null,
    started_at timestamptz not null default now(),
    lease_until timestamptz not null
);

-- One row per thing that came in; the inbox is its state 'received'. Rewritten at every step, so it is kept small.
create table exchanges (
    id uuid primary key,
    action text not null,
    source text not null,
    state text not null,
    received_at timestamptz not null default now(),
    deadline timestamptz not null,
    fingerprint bytea not null,                 -- queue, properties, body: tells a redelivery from a new publish
    delivery_session text,                      -- channel that delivered it last
    settled boolean not null default false,     -- the broker has processed the ack
    refusal text,                               -- why it is answered without being run
    repeat_of uuid,                             -- the same command, published again
    owner uuid,                                 -- worker that runs it; null while it waits
    attempts integer not null default 0,
    crash_attempts integer not null default 0,
    next_at timestamptz,
    gateway text,
    operation text,
    gateway_id text,
    minted_at timestamptz,
    lane text,                                  -- calls of one lane go one by one, in order of id
    outcome bytea,
    outcome_code text,
    finished_at timestamptz,
    replies integer not null default 0,
    events integer not null default 0
) with (fillfactor = 70);

create index exchanges_gateway_id on exchanges (gateway, gateway_id) where gateway_id is not null;
create index exchanges_open on exchanges (received_at) where state in ('received', 'submitting', 'answered');
create index exchanges_retrying on exchanges (next_at) where state = 'retrying';
create index exchanges_deadline on exchanges (deadline) where state in ('retrying', 'waiting');
create index exchanges_claimed on exchanges (owner) where owner is not null and state in ('retrying', 'waiting');
create index exchanges_lane on exchanges (lane, id)
    where lane is not null and state in ('received', 'submitting', 'retrying');
create index exchanges_unsettled on exchanges (fingerprint) where not settled;
create index exchanges_repeat_of on exchanges (repeat_of) where repeat_of is not null and state = 'waiting';

-- What came in, as it came: written once, beside the row that every step rewrites.
create table incoming (
    id uuid primary key,                        -- of its exchange
    body bytea,                                 -- null when over the limit: digest and size tell what it was
    body_sha256 bytea not null,
    body_size bigint not null,
    properties bytea not null,                  -- the raw AMQP property section
    correlation text,                           -- for people who search; escaped where it is not UTF-8
    message_id text
);
create index incoming_correlation on incoming (correlation) where correlation is not null;
create index incoming_message_id on incoming (message_id) where message_id is not null;

create view commands as
select
    e.id, e.action, e.source, e.state, e.received_at, e.deadline, i.body, i.body_sha256, i.body_size, i.properties,
    i.correlation, i.message_id, e.refusal, e.repeat_of, e.owner, e.attempts, e.crash_attempts, e.next_at, e.gateway,
    e.operation, e.gateway_id, e.minted_at, e.lane, e.outcome, e.outcome_code, e.finished_at, e.replies, e.events
from exchanges e join incoming i on i.id = e.id;

-- Identity of commands (and of gateway messages): small, unpartitioned, kept DEDUPE_DAYS.
create table command_key (
    key bytea primary key,
    exchange_id uuid not null,
    body_sha256 bytea not null,
    created_at timestamptz not null default now()
);
create index command_key_created_at on command_key using brin (created_at);

-- Exact bytes sent and received, and every change of state: append-only.
create table proof (
    exchange_id uuid not null,
    at timestamptz not null default clock_timestamp(),
    kind text not null,
    message_id text,
    data bytea,
    content bytea,
    meta bytea
) partition by range (at);
create index proof_exchange on proof (exchange_id, at);
create table proof_default partition of proof default;

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'proof is append-only' using errcode = 'insufficient_privilege';
end $$;
create trigger proof_is_append_only before update or delete on proof
    for each row execute function refuse_change();

-- What has to be published: written with the outcome, in one transaction.
create table outbox (
    id uuid not null,
    created_at timestamptz not null default now(),
    exchange_id uuid not null,
    kind text not null,                         -- reply, event
    target text not null,                       -- exchange on the broker; '' is the default one
    routing_key text not null,
    message_id text not null,
    body bytea not null,
    properties bytea not null,
    state text not null default 'pending',      -- pending, sent, parked
    owner uuid,
    attempts integer not null default 0,
    reason text,
    next_at timestamptz not null default now(), -- when a row that is still unsent may be taken up
    sent_at timestamptz,
    primary key (created_at, id)
) partition by range (created_at);
create index outbox_open on outbox (next_at) where state <> 'sent';
create index outbox_exchange on outbox (exchange_id);
create table outbox_default partition of outbox default;

-- lz4 writes 3.5 times faster than pglz; a server built without it keeps its default.
do $$
begin
    alter table proof alter column data set compression lz4;
    alter table proof alter column content set compression lz4;
    alter table incoming alter column body set compression lz4;
    alter table exchanges alter column outcome set compression lz4;
    alter table outbox alter column body set compression lz4;
exception when feature_not_supported or invalid_parameter_value then
    raise notice 'lz4 is not available: bytes are compressed with pglz';
end $$;

-- Day partitions, made ahead; what arrives without one lands in the default partition and is still safe. A new partition
-- needs its parent alone: behind somebody who reads for long it gives up at once, because every write would queue behind it.
create function ensure_day_partitions(days integer) returns void language plpgsql set lock_timeout = '200ms' as $$
declare
    parent text;
    day date;
    child text;
begin
    if not pg_try_advisory_xact_lock(7204411902) then
        return;
    end if;
    foreach parent in array array['proof', 'outbox'] loop
        for ahead in 0..days loop
            day := (now() at time zone 'utc')::date + ahead;
            child := parent || '_' || to_char(day, 'YYYYMMDD');
            if to_regclass(child) is null then
                begin
                    execute format(
                        'create table %I partition of %I for values from (%L) to (%L)',
                        child, parent,
                        day::timestamp at time zone 'utc', (day + 1)::timestamp at time zone 'utc'
                    );
                exception when check_violation then
                    raise notice 'rows of % already stand in the default partition of %', day, parent;
                when lock_not_available then
                    raise notice '% is in use: its partition of % is made next time', parent, day;
                end;
            end if;
        end loop;
    end loop;
end $$;
select ensure_day_partitions(2);
