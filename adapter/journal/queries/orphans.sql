-- Messages of gateways about nothing that this journal sent, newest last. They are few and asked for by a person: the
-- facts of the chosen days are read.
select p.exchange_id as id, p.at, p.kind, p.message_id, p.meta, octet_length(p.data) as bytes
from proof p
where p.kind in ('answer', 'status') and p.at >= $1 and ($2::timestamptz is null or p.at < $2)
    and ($3::text is null or p.message_id = $3)
    and not exists (select 1 from exchanges e where e.id = p.exchange_id)
order by p.at
