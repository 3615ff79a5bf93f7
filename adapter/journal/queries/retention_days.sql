-- The partitions of proof and outbox, oldest first; the default ones have no day.
select parent.relname as parent, part.relname as part, pg_total_relation_size(part.oid) as bytes,
    case when part.relname ~ '_[0-9]{8}$' then to_date(right(part.relname, 8), 'YYYYMMDD') end as day
from pg_inherits i join pg_class part on part.oid = i.inhrelid join pg_class parent on parent.oid = i.inhparent
where i.inhparent in ('proof'::regclass, 'outbox'::regclass)
order by parent.relname desc, day, part.relname
