-- ШЭП (adapter/gateways/shep): what is fetched, followed, held back and counted over all workers, by the database's clock.

-- Ties of commands to messages that nobody follows yet (word "follow:KEY").
create index subjects_followed on subjects (subject) where note like '%follow:%';

-- Fetching (PULL): one call of a service at a time, and none before its time. A woken service is one that the gateway
-- delivers by itself and whose delivery point it seems to have switched off.
create table shep_pulls (
    service_id text primary key,
    due_at timestamptz not null default '-infinity',
    worker uuid,
    lease_until timestamptz not null default '-infinity',
    woken boolean not null default false
);

-- Messages that we sent, until they are delivered.
create table shep_followed (
    message_id text primary key,
    service_id text not null default '',        -- empty while only the gateway's news of it are known
    sent_at timestamptz not null default now(),
    state text not null default '',
    changes integer not null default 0,         -- of the state, as far as they were asked for
    looks integer not null default 0,           -- since the last change: spaces the next ones
    due_at timestamptz,                         -- when it is looked at; null when that is over
    late boolean not null default false,        -- three minutes went by: it was said
    worker uuid,
    lease_until timestamptz not null default '-infinity'
);
create index shep_followed_due on shep_followed (due_at) where due_at is not null;
create index shep_followed_over on shep_followed (sent_at) where due_at is null;

-- Sends to a throttled delivery point, as far back as its window reaches.
create table shep_sends (point integer not null, at timestamptz not null);
create index shep_sends_at on shep_sends (point, at);

-- Calls of the gateway on a delivery point of ours that it has to take for failed.
create table shep_errors (point integer not null, at timestamptz not null);
create index shep_errors_at on shep_errors (point, at);

-- Counts one send and returns 0; returns the seconds until the window has room, and counts none.
create function shep_take_send(whose integer, most integer, seconds double precision)
returns double precision language plpgsql as $$
declare
    oldest timestamptz;
begin
    perform pg_advisory_xact_lock(hashtextextended('shep send ' || whose, 0));
    delete from shep_sends where point = whose and at <= clock_timestamp() - make_interval(secs => seconds);
    select at into oldest from shep_sends where point = whose order by at desc offset most - 1 limit 1;
    if oldest is not null then
        return greatest(extract(epoch from oldest - clock_timestamp()) + seconds, 0.001);
    end if;
    insert into shep_sends (point, at) values (whose, clock_timestamp());
    return 0;
end
$$;

-- Counts one failed call and returns how many there were in the interval.
create function shep_take_error(whose integer, seconds double precision) returns bigint language plpgsql as $$
begin
    delete from shep_errors where point = whose and at <= clock_timestamp() - make_interval(secs => seconds);
    insert into shep_errors (point, at) values (whose, clock_timestamp());
    return (select count(*) from shep_errors where point = whose);
end
$$;
