-- One commit of the journal's writer is one call of journal_write: one round trip, one transaction.
--
-- What is written arrives as arrays of rows, one array for each kind of operation (adapter/journal/operations.py). "op" is
-- the operation's number in the commit; the messages and facts beside it carry the same number and are written only when
-- the operation applied. An operation is fenced: it applies while its row is owned by the one who asks and in a state that
-- the move may start from.
--
-- The plans are told to look rows up by index: a plan made while a table is young would read all of it ever after, because
-- a plan is kept until statistics change. States are compared with constants that the planner does not see through, or it
-- would walk a partial index of everything that is open instead of looking up one id.

create type take_op as (
    op integer, id uuid, action text, source text, received_at timestamptz, deadline timestamptz, body bytea,
    body_sha256 bytea, body_size bigint, properties bytea, correlation text, message_id text, fingerprint bytea,
    session text, redelivered boolean, refusal text, owner uuid, key bytea
);
create type submit_op as (
    op integer, id uuid, owner uuid, from_state text, attempts integer, gateway text, operation text, gateway_id text,
    minted_at timestamptz, lane text
);
create type wait_op as (op integer, id uuid, owner uuid);
create type retry_op as (op integer, id uuid, owner uuid, delay interval, remint boolean);
create type evidence_op as (
    op integer, gateway text, gateway_id text, key bytea, raw_sha256 bytea, owner uuid, final boolean, sequence integer,
    orphan_id uuid, kind text, message_id text, data bytea, content bytea, meta bytea
);
create type finish_op as (
    op integer, id uuid, owner uuid, from_state text, state text, outcome bytea, code text, replies integer
);
create type mark_op as (op integer, created_at timestamptz, id uuid, state text, reason text, delay interval);
create type lease_op as (op integer, id uuid, name text, lasts interval);
create type outbox_op as (
    op integer, id uuid, created_at timestamptz, exchange_id uuid, kind text, target text, routing_key text,
    message_id text, body bytea, properties bytea, owner uuid
);
create type proof_op as (
    op integer, exchange_id uuid, kind text, message_id text, data bytea, content bytea, meta bytea
);

-- What became of an operation that has more to say than that it applied.
create type verdict as (op integer, kind text, id uuid, command commands);

-- Journal deliveries: tell new commands from repeats and from other bodies under a used identity.
create function journal_take(takes take_op[]) returns setof verdict language plpgsql as $$
begin
    -- In one order everywhere: two workers that take the same keys wait for each other and never in a circle.
    insert into command_key (key, exchange_id, body_sha256)
    select t.key, t.id, t.body_sha256 from unnest(takes) t where t.key is not null order by t.key, t.op
    on conflict (key) do nothing;

    return query
    with judged as (
        select t.*, h.exchange_id as holder, case
            when h.exchange_id is null or h.exchange_id = t.id then 'new'
            when h.body_sha256 = t.body_sha256 then 'repeat'
            else 'reused'
        end as kind
        from unnest(takes) t left join command_key h on h.key = t.key
    ), kept as (
        insert into incoming (id, body, body_sha256, body_size, properties, correlation, message_id)
        select id, body, body_sha256, body_size, properties, correlation, message_id from judged
    ), begun as (
        insert into exchanges (
            id, action, source, state, received_at, deadline, fingerprint, delivery_session, refusal, repeat_of, owner
        )
        select
            id, action, source, case kind when 'repeat' then 'waiting' else 'received' end, received_at, deadline,
            fingerprint, session, case kind when 'reused' then 'message-id-reused' else refusal end,
            case kind when 'repeat' then holder end, case kind when 'repeat' then null else owner end
        from judged
    )
    select j.op, j.kind, j.holder, null::commands from judged j;
end $$;

-- Deliveries of one commit. A redelivered one is looked for first, in what this very commit journals too: its ack may have
-- been lost a moment ago. A row that is being changed is waited for, never skipped: skipped, it would look like a command
-- that has never been seen.
create function journal_take_in(takes take_op[]) returns setof verdict language plpgsql as $$
declare
    again take_op;
    known uuid;
begin
    return query select * from journal_take(array(select t from unnest(takes) t where not t.redelivered));
    for again in select * from unnest(takes) t where t.redelivered order by t.op loop
        update exchanges set delivery_session = again.session
        where id = (
            select id from exchanges
            where fingerprint = again.fingerprint and not settled and delivery_session is distinct from again.session
            order by received_at limit 1
            for update
        )
        returning id into known;
        if known is null then
            return query select * from journal_take(array[again]);
        else
            return query select again.op, 'redelivered', known, null::commands;
        end if;
    end loop;
end $$;

-- Messages of gateways: the first final one about an exchange answers it, in any state that can still be answered and
-- whoever owns the row; what follows is news of it. "sequence" is what the message's own event was numbered by: "again"
-- asks for a new number. A message whose identity was seen before is a repeat and is not written twice.
create function journal_evidence(evidence evidence_op[]) returns setof verdict language plpgsql as $$
declare
    answerable constant text[] := array['submitting', 'waiting', 'retrying', 'uncertain', 'expired'];
    matched integer[];
begin
    with moved as (
        update exchanges e set state = 'answered', owner = u.owner
        from unnest(evidence) u
        where u.final and e.gateway = u.gateway and e.gateway_id = u.gateway_id and e.state = any(answerable)
        returning u.op
    )
    select coalesce(array_agg(op), '{}') into matched from moved;

    return query
    with about as (
        select
            u.*, e.id, u.op = any(matched) as answers,
            row_number() over (partition by u.key order by u.op = any(matched) desc, u.op) as nth,
            e.events + e.replies as present
        from unnest(evidence) u left join exchanges e on e.gateway = u.gateway and e.gateway_id = u.gateway_id
    ), numbered as (
        -- One event of an exchange in one commit: the next one needs the next number.
        select a.*, a.sequence is not null and not a.answers and (
            a.present <> a.sequence
            or row_number() over (partition by a.id, a.nth > 1 or a.sequence is null order by a.op) > 1
        ) as stale
        from about a
    ), claimed as (
        insert into command_key (key, exchange_id, body_sha256)
        select a.key, coalesce(a.id, a.orphan_id), a.raw_sha256 from numbered a where a.nth = 1 and not a.stale
        order by a.key
        on conflict (key) do nothing
        returning key
    ), judged as (
        select a.*, case
            when a.answers then 'matched'
            when a.nth = 1 and a.stale then 'again'
            when a.nth > 1 or not exists (select 1 from claimed c where c.key = a.key) then 'repeat'
            when a.id is null then 'orphan'
            else 'news'
        end as verdict
        from numbered a
    ), recorded as (
        insert into proof (exchange_id, kind, message_id, data, content, meta)
        select coalesce(j.id, j.orphan_id), j.kind, j.message_id, j.data, j.content, j.meta from judged j
        where j.verdict in ('matched', 'news', 'orphan')
    )
    select j.op, j.verdict, j.id, c from judged j left join commands c on c.id = j.id;
end $$;

create function journal_write(
    takes take_op[], submits submit_op[], waits wait_op[], retries retry_op[], evidence evidence_op[],
    finishes finish_op[], notes integer[], marks mark_op[], settles uuid[], leases lease_op[],
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
    retriable constant text[] := array['received', 'submitting', 'retrying'];
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
            update exchanges e set state = 'waiting', owner = null
            from unnest(waits) u
            where e.id = u.id and e.owner = u.owner and e.state = submitting
            returning u.op, e.lane
        )
        select array_agg(op), array_agg(lane) filter (where lane is not null) into moved, lanes from changed;
        applied := applied || moved;
        freed := lanes;
    end if;

    -- Durable back-off inside the deadline; a re-minted call forgets its id.
    if cardinality(retries) > 0 then
        with changed as (
            update exchanges e set
                state = 'retrying', owner = null, next_at = now() + u.delay,
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
                finished_at = now(), replies = e.replies + u.replies
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
        update exchanges e set settled = true from unnest(settles) u (id) where e.id = u.id;
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
