-- A move of a row carries along that the broker has processed the ack of its delivery: one change of the row less for
-- each command. journal_commit is journal_write (0002_write.pre.sql) with that; workers of the version before go on with
-- the old function, whose rules are the same.

create type waiting_op as (op integer, id uuid, owner uuid, settled boolean);
create type retrying_op as (op integer, id uuid, owner uuid, delay interval, remint boolean, settled boolean);
create type finishing_op as (
    op integer, id uuid, owner uuid, from_state text, state text, outcome bytea, code text, replies integer,
    settled boolean
);

create function journal_commit(
    takes take_op[], submits submit_op[], waits waiting_op[], retries retrying_op[], evidence evidence_op[],
    finishes finishing_op[], notes integer[], marks mark_op[], settles uuid[], leases lease_op[],
    messages outbox_op[], facts proof_op[],
    out applied integer[], out verdicts verdict[]
) language plpgsql
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_material = off
as $$
declare
    submittable constant text[] := array['received', 'retrying', 'submitting', 'answered'];
    retriable constant text[] := array['received', 'submitting', 'retrying', 'answered'];
    answered constant text := 'answered';
    submitting constant text := 'submitting';
    sent constant text := 'sent';
    moved integer[];
    ended uuid[];
    lanes text[];
    freed text[];
    told verdict[];
    asked integer := cardinality(submits) + cardinality(waits) + cardinality(retries) + cardinality(evidence)
        + cardinality(finishes);
begin
    applied := notes;
    verdicts := '{}';

    if cardinality(takes) > 0 then
        select array_agg(v) into verdicts from journal_take_in(takes) v;
    end if;

    -- The intent to call: from here on bytes may leave. Fenced by what the caller knows of the row.
    if cardinality(submits) > 0 then
        lanes := array(select distinct s.lane from unnest(submits) s where s.lane is not null order by s.lane);
        if cardinality(lanes) > 0 then
            -- One commit at a time looks at a lane, and whoever is behind in it is seen from now on.
            perform pg_advisory_xact_lock(hashtextextended(l, 0)) from unnest(lanes) l;
            update exchanges e set lane = s.lane from unnest(submits) s
            where e.id = s.id and e.owner = s.owner and s.lane is not null and e.lane is distinct from s.lane;
        end if;
        with changed as (
            update exchanges e set
                state = 'submitting', gateway = u.gateway, operation = u.operation, gateway_id = u.gateway_id,
                minted_at = u.minted_at, attempts = e.attempts + 1
            from unnest(submits) u
            where e.id = u.id and e.owner = u.owner and e.state = u.from_state and e.attempts = u.attempts
                and e.state = any(submittable)
                and (u.lane is null or not exists (
                    select 1 from exchanges o
                    where o.lane = u.lane and o.id <> u.id and o.state in ('received', 'submitting', 'retrying')
                        and (o.id < u.id or o.state = 'submitting')
                ))
            returning u.op
        )
        select array_agg(op) into moved from changed;
        applied := applied || moved;
    end if;

    -- The gateway took it: the exchange leaves memory until an answer comes.
    if cardinality(waits) > 0 then
        with changed as (
            update exchanges e set state = 'waiting', owner = null, settled = e.settled or u.settled
            from unnest(waits) u
            where e.id = u.id and e.owner = u.owner and e.state = submitting
            returning u.op, e.lane
        )
        select array_agg(op), array_agg(lane) filter (where lane is not null) into moved, lanes from changed;
        applied := applied || moved;
        freed := lanes;
    end if;

    -- Durable back-off inside the deadline; a re-minted call forgets its id. An answered row whose next call has to wait
    -- stays answered.
    if cardinality(retries) > 0 then
        with changed as (
            update exchanges e set
                state = case e.state when answered then answered else 'retrying' end, owner = null, next_at = now() + u.delay, settled = e.settled or u.settled,
                attempts = e.attempts + case when e.state = 'submitting' then 0 else 1 end,
                gateway_id = case when u.remint then null else e.gateway_id end
            from unnest(retries) u
            where e.id = u.id and e.owner = u.owner and e.state = any(retriable)
            returning u.op
        )
        select array_agg(op) into moved from changed;
        applied := applied || moved;
    end if;

    if cardinality(evidence) > 0 then
        select array_agg(v) into told from journal_evidence(evidence) v;
        verdicts := verdicts || told;
        applied := applied || array(select v.op from unnest(told) v where v.kind in ('matched', 'news'));
    end if;

    -- The outcome. A row without an owner (waiting, a sweep) is fenced by its state alone.
    if cardinality(finishes) > 0 then
        with changed as (
            update exchanges e set
                state = u.state, owner = null, outcome = coalesce(u.outcome, e.outcome),
                outcome_code = case when u.outcome is null then e.outcome_code else u.code end,
                finished_at = now(), replies = e.replies + u.replies, settled = e.settled or u.settled
            from unnest(finishes) u
            where e.id = u.id and e.state = u.from_state and e.owner is not distinct from u.owner
            returning u.op, e.id, e.lane
        )
        select array_agg(op), array_agg(id), array_agg(lane) filter (where lane is not null)
        into moved, ended, lanes from changed;
        applied := applied || moved;
        freed := freed || lanes;
        -- The repeats of these commands wait for their outcome.
        select array_agg((u.op, 'repeat', c.id, c)::verdict) into told
        from exchanges w join unnest(finishes) u on u.id = w.repeat_of join commands c on c.id = w.id
        where w.repeat_of = any(ended) and w.state = 'waiting' and u.op = any(moved);
        verdicts := verdicts || told;
    end if;

    -- Whoever waits behind in a lane need not wait for its own time.
    if cardinality(freed) > 0 then
        update exchanges e set next_at = now() where e.lane = any(freed) and e.state = 'retrying';
    end if;

    -- What became of published rows. A parked row is tried again later; it is never dropped.
    if cardinality(marks) > 0 then
        update outbox o set
            state = u.state, reason = u.reason, attempts = o.attempts + 1, owner = null,
            next_at = now() + u.delay, sent_at = case when u.state = 'sent' then now() end
        from unnest(marks) u
        where o.created_at = u.created_at and o.id = u.id and o.state <> sent;
    end if;

    if cardinality(settles) > 0 then
        update exchanges e set settled = true from unnest(settles) u (id) where e.id = u.id and not e.settled;
    end if;

    if cardinality(leases) > 0 then
        insert into workers (id, name, lease_until) select l.id, l.name, now() + l.lasts from unnest(leases) l
        on conflict (id) do update set lease_until = excluded.lease_until;
    end if;

    if cardinality(applied) < asked + cardinality(notes) then
        messages := array(select m from unnest(messages) m where m.op = any(applied));
        facts := array(select f from unnest(facts) f where f.op = any(applied));
    end if;

    -- The publisher has it in memory: only if it is still unsent after a while has it been lost there.
    if cardinality(messages) > 0 then
        insert into outbox (
            id, created_at, exchange_id, kind, target, routing_key, message_id, body, properties, owner, next_at
        )
        select
            m.id, m.created_at, m.exchange_id, m.kind, m.target, m.routing_key, m.message_id, m.body, m.properties,
            m.owner, now() + interval '5 seconds'
        from unnest(messages) m;
        -- Events keep their numbers in the exchange.
        update exchanges e set events = e.events + n.events
        from (
            select m.exchange_id, count(*)::integer as events from unnest(messages) m where m.kind = 'event'
            group by m.exchange_id
        ) n
        where e.id = n.exchange_id;
    end if;

    if cardinality(facts) > 0 then
        insert into proof (exchange_id, kind, message_id, data, content, meta)
        select f.exchange_id, f.kind, f.message_id, f.data, f.content, f.meta from unnest(facts) f;
    end if;
end $$;
