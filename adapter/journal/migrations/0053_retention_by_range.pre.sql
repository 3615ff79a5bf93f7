-- The same judgement as retention_is_over, which this replaces, for a range of ids at once: PostgreSQL looks into each day of
-- the outbox once for a thousand exchanges instead of once for each.

create function retention_over(behind uuid, upto uuid, before timestamptz) returns setof uuid language sql stable as $$
    select e.id from exchanges e
    where e.id > behind and e.id <= upto and e.finished_at < before and e.received_at < before
        and (
            e.state in ('replied', 'rejected', 'failed', 'expired')
            or e.state = 'dead' and 'dropped' = (
                select p.kind from proof p
                where p.exchange_id = e.id and p.kind in ('outcome', 'dropped') order by p.at desc limit 1
            )
        )
        and not exists (select 1 from outbox o where o.exchange_id = e.id and o.state <> 'sent')
        and not exists (select 1 from exchanges r where r.repeat_of = e.id and r.state = 'waiting')
        and not exists (
            select 1 from subjects s
            join subjects other on other.subject = s.subject join exchanges x on x.id = other.exchange_id
            where s.exchange_id = e.id and (x.finished_at is null or x.finished_at >= before)
        )
        and not exists (select 1 from epgu_followed f where f.exchange_id = e.id and f.stage <> 'ended')
        and not exists (select 1 from shep_emergencies m where m.exchange_id = e.id and m.closed_at is null)
$$;

create or replace function retention_forget(
    behind uuid, below uuid, before timestamptz, most integer, out last uuid, out forgotten integer
) language plpgsql as $$
declare
    looked uuid[];
    over uuid[];
    gone uuid[];
begin
    looked := array(select id from exchanges where id > behind and id < below order by id limit most);
    last := looked[cardinality(looked)];
    over := array(select o from retention_over(behind, last, before) o);
    -- What a late answer has moved since is another row to this statement, and stays.
    gone := array(
        select id from exchanges
        where id = any(over) and finished_at < before and state in ('replied', 'rejected', 'failed', 'expired', 'dead')
        for update skip locked
    );
    delete from last_words where request_id = any(gone);
    delete from subjects where exchange_id = any(gone);
    delete from incoming where id = any(gone);
    delete from exchanges where id = any(gone);
    forgotten := cardinality(gone);
end $$;
