-- Retention (adapter/recovery/retention.py): what is over and older than RETENTION_DAYS goes. An operator's command calls
-- these, never a worker; each judges again by itself, so that no caller can remove what somebody still needs.

-- Subjects are found by their exchange only here.
create index subjects_exchange on subjects (exchange_id);

-- Whether an exchange is over for everybody since before a moment. Not over are: what still runs or waits, what waits for a
-- person (uncertain, dead and not dropped), whose message has not gone out, for whose outcome a repeat waits, and whose
-- subject (an order, a case) has a younger exchange.
create function retention_is_over(one exchanges, before timestamptz) returns boolean language sql stable as $$
    select one.finished_at < before and one.received_at < before
        and (
            one.state in ('replied', 'rejected', 'failed', 'expired')
            or one.state = 'dead' and 'dropped' = (
                select p.kind from proof p
                where p.exchange_id = one.id and p.kind in ('outcome', 'dropped') order by p.at desc limit 1
            )
        )
        and not exists (select 1 from outbox o where o.exchange_id = one.id and o.state <> 'sent')
        and not exists (select 1 from exchanges r where r.repeat_of = one.id and r.state = 'waiting')
        and not exists (
            select 1 from subjects s
            join subjects other on other.subject = s.subject join exchanges x on x.id = other.exchange_id
            where s.exchange_id = one.id and (x.finished_at is null or x.finished_at >= before)
        )
$$;

-- Removes what is over of the next exchanges behind an id, in the order of ids; "last" is where the next call goes on, null
-- when nothing is left. A row that a worker is changing at this moment is left for another day.
create function retention_forget(
    behind uuid, below uuid, before timestamptz, most integer, out last uuid, out forgotten integer
) language plpgsql as $$
declare
    looked uuid[];
    gone uuid[];
begin
    looked := array(select id from exchanges where id > behind and id < below order by id limit most);
    last := looked[cardinality(looked)];
    gone := array(
        select id from exchanges e where id = any(looked) and retention_is_over(e, before) for update skip locked
    );
    delete from last_words where request_id = any(gone);
    delete from subjects where exchange_id = any(gone);
    delete from incoming where id = any(gone);
    delete from exchanges where id = any(gone);
    forgotten := cardinality(gone);
end $$;

-- Drops one day of proof or outbox: "dropped", or why not: "young", "held" by an exchange that is kept or by a message that
-- has not gone out, "busy" behind somebody who reads it for long, "gone". The default partition is emptied instead.
create function retention_drop(part text, before timestamptz) returns text language plpgsql
set lock_timeout = '200ms' as $$
declare
    parent constant text := split_part(part, '_', 1);
    day constant text := split_part(part, '_', 2);
    found boolean;
begin
    if parent not in ('proof', 'outbox') or not exists (
        select 1 from pg_inherits where inhrelid = to_regclass(part) and inhparent = to_regclass(parent)
    ) then
        return 'gone';
    end if;
    if day = 'default' then
        execute format('select not exists (select 1 from %I)', part) into found;
        if found then
            return 'gone';
        end if;
        -- What is written while we look would be emptied with the rest.
        execute format('lock table %I in access exclusive mode', part);
        execute format('select exists (select 1 from %I where %I >= $1)', part,
            case parent when 'proof' then 'at' else 'created_at' end) into found using before;
        if found then
            return 'young';
        end if;
    elsif (to_date(day, 'YYYYMMDD') + 1)::timestamp at time zone 'utc' > before then
        return 'young';
    end if;
    if parent = 'outbox' then
        execute format('select exists (select 1 from %I where state <> ''sent'')', part) into found;
        if found then
            return 'held';
        end if;
    end if;
    execute format(
        'select exists (select 1 from %I p where exists (select 1 from exchanges e where e.id = p.exchange_id))', part
    ) into found;
    if found then
        return 'held';
    end if;
    execute format(case day when 'default' then 'truncate %I' else 'drop table %I' end, part);
    return 'dropped';
exception when lock_not_available then
    return 'busy';
end $$;
