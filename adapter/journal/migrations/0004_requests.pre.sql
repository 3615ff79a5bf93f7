-- Exchanges that begin at a gateway (a request of another system, a push), and what joins exchanges to one subject.
--
-- Both stand in tables of their own: a commit without them calls journal_commit as before and pays nothing for them.

-- Which exchanges belong to one business id: an order, a case. Written for those alone that have one.
create table subjects (
    subject text not null,
    exchange_id uuid not null,
    note text not null default '',              -- what the call was, for later ones to look at
    at timestamptz not null default now(),
    primary key (subject, exchange_id)
);

-- Who has had the last word to a request. A holder that came to nothing gives way (claim_word.sql).
create table last_words (
    request_id uuid primary key,                -- the exchange that began at a gateway
    exchange_id uuid not null,                  -- whose word it is; nobody's (all zeros) where it came too late for any
    content bytea,                              -- the word, where somebody holds the request open
    at timestamptz not null default now()
);

create type birth_op as (
    op integer, id uuid, action text, source text, received_at timestamptz, deadline timestamptz, body bytea,
    body_sha256 bytea, body_size bigint, message_id text, key bytea, subject text, owner uuid, content bytea, meta bytea
);
create type subject_op as (op integer, subject text, id uuid, note text);

-- Journal messages that begin an exchange: each once by its key, with what was read of it as a fact. A repeat changes
-- nothing. Such a row has no AMQP properties, which tells it from a command, and nothing to settle with the broker.
create function journal_births(births birth_op[]) returns setof verdict language plpgsql as $$
begin
    insert into command_key (key, exchange_id, body_sha256)
    select b.key, b.id, b.body_sha256 from unnest(births) b order by b.key, b.op
    on conflict (key) do nothing;

    return query
    with judged as (
        select b.*, k.exchange_id as holder from unnest(births) b join command_key k on k.key = b.key
    ), kept as (
        insert into incoming (id, body, body_sha256, body_size, properties, message_id)
        select id, body, body_sha256, body_size, ''::bytea, message_id from judged where holder = id
    ), begun as (
        insert into exchanges (id, action, source, state, received_at, deadline, fingerprint, settled, owner, lane)
        select id, action, source, 'received', received_at, deadline, key, true, owner, nullif(subject, '')
        from judged where holder = id
    ), joined as (
        insert into subjects (subject, exchange_id) select subject, id from judged where holder = id and subject <> ''
    ), known as (
        insert into proof (exchange_id, kind, message_id, content, meta)
        select id, 'incoming', message_id, content, meta from judged where holder = id
    )
    select j.op, case when j.holder = j.id then 'new' else 'repeat' end, j.holder, null::commands from judged j;
end $$;

-- A commit that holds such messages or subjects, beside all that journal_commit takes.
create function journal_commit_requests(
    births birth_op[], joins subject_op[],
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
    born verdict[];
begin
    if cardinality(births) > 0 then
        select array_agg(b) into born from journal_births(births) b;
    end if;
    if cardinality(joins) > 0 then
        insert into subjects (subject, exchange_id, note) select j.subject, j.id, j.note from unnest(joins) j
        order by j.subject, j.id
        on conflict (subject, exchange_id) do update set note = excluded.note where subjects.note <> excluded.note;
    end if;
    select w.applied, w.verdicts into applied, verdicts from journal_commit(
        takes, submits, waits, retries, evidence, finishes, notes, marks, settles, leases, messages, facts
    ) w;
    verdicts := verdicts || born;
end $$;
