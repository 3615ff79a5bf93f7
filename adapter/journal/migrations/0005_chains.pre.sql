-- Messages that belong to a command of ours: found by what its answer tied it to (subjects), and answers that have a
-- deadline of their own.

-- Commands of which nobody knows whether they were taken: few, and one of them may be what a message belongs to.
create index exchanges_uncertain on exchanges (operation) where state = 'uncertain';

create type until_op as (op integer, id uuid, deadline timestamptz);

-- A commit in which exchanges begin to wait for an answer until a moment of its own, beside all that
-- journal_commit_requests takes.
create function journal_commit_untils(
    untils until_op[], births birth_op[], joins subject_op[],
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
begin
    select w.applied, w.verdicts into applied, verdicts from journal_commit_requests(
        births, joins, takes, submits, waits, retries, evidence, finishes, notes, marks, settles, leases, messages, facts
    ) w;
    update exchanges e set deadline = u.deadline from unnest(untils) u where e.id = u.id and u.op = any(applied);
end $$;
