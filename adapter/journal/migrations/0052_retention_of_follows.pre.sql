-- An order that is followed tells its events as those of a command, and an emergency that is open is about a message: both
-- keep their exchange.
create index epgu_followed_exchange on epgu_followed (exchange_id);

create or replace function retention_is_over(one exchanges, before timestamptz) returns boolean language sql stable as $$
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
        and not exists (select 1 from epgu_followed f where f.exchange_id = one.id and f.stage <> 'ended')
        and not exists (select 1 from shep_emergencies m where m.exchange_id = one.id and m.closed_at is null)
$$;
