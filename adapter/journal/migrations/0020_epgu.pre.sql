-- ЕПГУ (adapter/gateways/epgu): limits held over all workers, and tokens that commands brought.

-- Requests of the system in the present calendar periods of Moscow time (Приложение 3).
create table epgu_requests (
    period text primary key check (period in ('minute', 'hour', 'day', 'month', 'year')),
    began timestamp not null,                   -- Moscow time
    requests bigint not null
);
insert into epgu_requests (period, began, requests)
select period, 'epoch', 0 from unnest(array['minute', 'hour', 'day', 'month', 'year']) as period;

-- Orders made, as far back as the sliding window reaches.
create table epgu_orders_made (
    account bytea not null,                     -- SHA-256 of whose orders they are
    service_code text not null,
    at timestamptz not null
);
create index epgu_orders_made_at on epgu_orders_made (account, service_code, at);

create table epgu_tokens (
    id bytea primary key,                       -- SHA-256 of the token
    token text not null,
    ends_at timestamptz not null
);
create index epgu_tokens_ends_at on epgu_tokens (ends_at);

-- Counts one request and returns 0; returns the seconds to the end of the first period that is full, and counts none.
create function epgu_take_request(limits bigint[]) returns double precision language plpgsql as $$
declare
    periods constant text[] := array['minute', 'hour', 'day', 'month', 'year'];
    moment constant timestamp := clock_timestamp() at time zone 'Europe/Moscow';
    wait double precision := 0;
    place record;
begin
    for place in select period, began, requests from epgu_requests order by period for update loop
        if place.began = date_trunc(place.period, moment)
            and place.requests >= limits[array_position(periods, place.period)]
        then
            wait := greatest(wait, extract(epoch from
                date_trunc(place.period, moment) + ('1 ' || place.period)::interval - moment));
        end if;
    end loop;
    if wait > 0 then
        return wait;
    end if;
    update epgu_requests set
        requests = case when began = date_trunc(period, moment) then requests + 1 else 1 end,
        began = date_trunc(period, moment);
    return 0;
end
$$;

-- Counts one order and returns 0; returns the seconds until the window has room, and counts none.
create function epgu_take_order(whose bytea, service text, most integer, seconds double precision)
returns double precision language plpgsql as $$
declare
    oldest timestamptz;
begin
    perform pg_advisory_xact_lock(hashtextextended('epgu' || encode(whose, 'hex') || service, 0));
    delete from epgu_orders_made
    where account = whose and service_code = service
        and at <= clock_timestamp() - make_interval(secs => seconds);
    select at into oldest from epgu_orders_made
    where account = whose and service_code = service
    order by at desc offset most - 1 limit 1;
    if oldest is not null then
        return greatest(extract(epoch from oldest - clock_timestamp()) + seconds, 0.001);
    end if;
    insert into epgu_orders_made (account, service_code, at) values (whose, service, clock_timestamp());
    return 0;
end
$$;
