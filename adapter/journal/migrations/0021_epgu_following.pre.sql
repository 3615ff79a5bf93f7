-- Following of orders (adapter/gateways/epgu/follow.py): who follows, which orders, and what has been told of them.

-- One follower for all workers: a lease by the database's clock. The one row is there for good.
create table epgu_follower (
    one boolean primary key default true check (one),
    worker uuid,
    lease_until timestamptz not null default '-infinity',
    asked_at timestamptz                        -- changes up to this moment were asked for
);
insert into epgu_follower default values;

create table epgu_followed (
    order_id bigint primary key,
    exchange_id uuid not null,                  -- the command that the events are about
    who jsonb not null,                         -- whose token serves the order: key, person, or the digest of a token
    profile text,                               -- null: the usual one
    stage text not null check (stage in ('processing', 'statuses', 'ended')),
    from_cancel boolean not null default false, -- followed since it was cancelled: what came before is not told
    due_at timestamptz,                         -- when its details are read; null until a change is seen
    looks integer not null default 0,           -- readings since something came of one: spaces the next ones
    seen text,                                  -- the current status as pages have it: number@moment
    told text[] not null default '{}',          -- statuses that were told, in the same form
    needs_token boolean not null default false,
    checked_at timestamptz not null default now(),
    version integer not null default 0,         -- counts what commands changed: a reading from before does not apply
    accepted_at timestamptz not null default now()
);
create index epgu_followed_due on epgu_followed (due_at) where due_at is not null;
create index epgu_followed_open on epgu_followed (checked_at) where stage <> 'ended';
