-- Commits of one row. Arrays for every kind of operation are built for crowds; a command that comes alone pays for all of
-- them four times over, and that is most of its way through the journal. Each of these functions does what journal_commit
-- does with the same rows, one value an argument (tests/integration/journal/test_alone.py holds them to it), and hands
-- whatever is out of the ordinary to it, or to the function that judges it there.

create type journal_said as (applied integer[], verdicts verdict[]);

create function journal_alone_take(
    t_op integer, t_id uuid, t_action text, t_source text, t_received_at timestamptz, t_deadline timestamptz, t_body bytea,
    t_body_sha256 bytea, t_body_size bigint, t_properties bytea, t_correlation text, t_message_id text,
    t_fingerprint bytea, t_session text, t_redelivered boolean, t_refusal text, t_owner uuid, t_key bytea
) returns journal_said language plpgsql
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = off
as $$
declare
    whole take_op;
    said journal_said := ('{}', '{}');
begin
    if not t_redelivered then
        if t_key is not null then
            insert into command_key (key, exchange_id, body_sha256) values (t_key, t_id, t_body_sha256)
            on conflict (key) do nothing;
        end if;
        if t_key is null or found then
            insert into incoming (id, body, body_sha256, body_size, properties, correlation, message_id)
            values (t_id, t_body, t_body_sha256, t_body_size, t_properties, t_correlation, t_message_id);
            insert into exchanges (
                id, action, source, state, received_at, deadline, fingerprint, delivery_session, refusal, owner
            ) values (
                t_id, t_action, t_source, 'received', t_received_at, t_deadline, t_fingerprint, t_session, t_refusal,
                t_owner
            );
            said.verdicts := array[(t_op, 'new', t_id, null)::verdict];
            return said;
        end if;
    end if;
    -- Redelivered, a repeat, or another body under a used identity.
    whole := (
        t_op, t_id, t_action, t_source, t_received_at, t_deadline, t_body, t_body_sha256, t_body_size, t_properties,
        t_correlation, t_message_id, t_fingerprint, t_session, t_redelivered, t_refusal, t_owner, t_key
    );
    said.verdicts := array(select v from journal_take_in(array[whole]) v);
    return said;
end $$;

create function journal_alone_submit(
    s_op integer, s_id uuid, s_owner uuid, s_from_state text, s_attempts integer, s_gateway text, s_operation text,
    s_gateway_id text, s_minted_at timestamptz, s_lane text,  -- in a lane all of a commit are judged at once
    f_op integer, f_exchange_id uuid, f_kind text, f_message_id text, f_data bytea, f_content bytea, f_meta bytea
) returns journal_said language plpgsql
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = off
as $$
declare
    submittable constant text[] := array['received', 'retrying', 'submitting', 'answered'];
    said journal_said := ('{}', '{}');
begin
    update exchanges e set
        state = 'submitting', gateway = s_gateway, operation = s_operation, gateway_id = s_gateway_id,
        minted_at = s_minted_at, attempts = e.attempts + 1
    where e.id = s_id and e.owner = s_owner and e.state = s_from_state and e.attempts = s_attempts
        and e.state = any(submittable);
    if found then
        insert into proof (exchange_id, kind, message_id, data, content, meta)
        values (f_exchange_id, f_kind, f_message_id, f_data, f_content, f_meta);
        said.applied := array[s_op];
    end if;
    return said;
end $$;

-- An acceptance.
create function journal_alone_wait(
    w_op integer, w_id uuid, w_owner uuid, w_settled boolean,
    f_op integer, f_exchange_id uuid, f_kind text, f_message_id text, f_data bytea, f_content bytea, f_meta bytea
) returns journal_said language plpgsql
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = off
as $$
declare
    submitting constant text := 'submitting';
    freed text;
    said journal_said := ('{}', '{}');
begin
    update exchanges e set state = 'waiting', owner = null, settled = e.settled or w_settled
    where e.id = w_id and e.owner = w_owner and e.state = submitting
    returning e.lane into freed;
    if found then
        insert into proof (exchange_id, kind, message_id, data, content, meta)
        values (f_exchange_id, f_kind, f_message_id, f_data, f_content, f_meta);
        said.applied := array[w_op];
        if freed is not null then
            update exchanges e set next_at = now() where e.lane = freed and e.state = 'retrying';
        end if;
    end if;
    return said;
end $$;

-- A message of a gateway; one that answers nothing is judged beside all that is known of it.
create function journal_alone_evidence(
    e_op integer, e_gateway text, e_gateway_id text, e_key bytea, e_raw_sha256 bytea, e_owner uuid, e_final boolean,
    e_sequence integer, e_orphan_id uuid, e_kind text, e_message_id text, e_data bytea, e_content bytea, e_meta bytea
) returns journal_said language plpgsql
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = off
as $$
declare
    answerable constant text[] := array['submitting', 'waiting', 'retrying', 'uncertain', 'expired'];
    about uuid[];
    whole evidence_op;
    said journal_said := ('{}', '{}');
begin
    if e_final then
        about := array(select e.id from exchanges e where e.gateway = e_gateway and e.gateway_id = e_gateway_id);
        if cardinality(about) = 1 then
            update exchanges e set state = 'answered', owner = e_owner
            where e.id = about[1] and e.gateway = e_gateway and e.gateway_id = e_gateway_id
                and e.state = any(answerable);
            if found then
                insert into command_key (key, exchange_id, body_sha256) values (e_key, about[1], e_raw_sha256)
                on conflict (key) do nothing;
                insert into proof (exchange_id, kind, message_id, data, content, meta)
                values (about[1], e_kind, e_message_id, e_data, e_content, e_meta);
                said.applied := array[e_op];
                said.verdicts := array(
                    select (e_op, 'matched', c.id, c)::verdict from commands c where c.id = about[1]
                );
                return said;
            end if;
        end if;
    end if;
    whole := (
        e_op, e_gateway, e_gateway_id, e_key, e_raw_sha256, e_owner, e_final, e_sequence, e_orphan_id, e_kind,
        e_message_id, e_data, e_content, e_meta
    );
    said.verdicts := array(select v from journal_evidence(array[whole]) v);
    said.applied := array(select v.op from unnest(said.verdicts) v where v.kind in ('matched', 'news'));
    return said;
end $$;

-- An outcome with its reply.
create function journal_alone_finish(
    x_op integer, x_id uuid, x_owner uuid, x_from_state text, x_state text, x_outcome bytea, x_code text,
    x_replies integer, x_settled boolean,
    m_op integer, m_id uuid, m_created_at timestamptz, m_exchange_id uuid, m_kind text, m_target text,
    m_routing_key text, m_message_id text, m_body bytea, m_properties bytea, m_owner uuid,
    f_op integer, f_exchange_id uuid, f_kind text, f_message_id text, f_data bytea, f_content bytea, f_meta bytea
) returns journal_said language plpgsql
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = off
as $$
declare
    freed text;
    said journal_said := ('{}', '{}');
begin
    update exchanges e set
        state = x_state, owner = null, outcome = coalesce(x_outcome, e.outcome),
        outcome_code = case when x_outcome is null then e.outcome_code else x_code end,
        finished_at = now(), replies = e.replies + x_replies, settled = e.settled or x_settled
    where e.id = x_id and e.state = x_from_state and e.owner is not distinct from x_owner
    returning e.lane into freed;
    if not found then
        return said;
    end if;
    said.applied := array[x_op];
    -- The repeats of this command wait for its outcome.
    if exists (select 1 from exchanges w where w.repeat_of = x_id and w.state = 'waiting') then
        said.verdicts := array(
            select (x_op, 'repeat', c.id, c)::verdict from exchanges w join commands c on c.id = w.id
            where w.repeat_of = x_id and w.state = 'waiting'
        );
    end if;
    if freed is not null then
        update exchanges e set next_at = now() where e.lane = freed and e.state = 'retrying';
    end if;
    insert into outbox (
        id, created_at, exchange_id, kind, target, routing_key, message_id, body, properties, owner, next_at
    ) values (
        m_id, m_created_at, m_exchange_id, m_kind, m_target, m_routing_key, m_message_id, m_body, m_properties, m_owner,
        now() + interval '5 seconds'
    );
    if m_kind = 'event' then
        update exchanges e set events = e.events + 1 where e.id = m_exchange_id;
    end if;
    insert into proof (exchange_id, kind, message_id, data, content, meta)
    values (f_exchange_id, f_kind, f_message_id, f_data, f_content, f_meta);
    return said;
end $$;

-- What became of a published row.
create function journal_alone_mark(
    k_op integer, k_created_at timestamptz, k_id uuid, k_state text, k_reason text, k_delay interval
) returns journal_said language plpgsql
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = off
as $$
declare
    sent constant text := 'sent';
    said journal_said := ('{}', '{}');
begin
    update outbox o set
        state = k_state, reason = k_reason, attempts = o.attempts + 1, owner = null, next_at = now() + k_delay,
        sent_at = case when k_state = 'sent' then now() end
    where o.created_at = k_created_at and o.id = k_id and o.state <> sent;
    return said;
end $$;
