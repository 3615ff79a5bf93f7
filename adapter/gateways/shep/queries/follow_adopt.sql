-- Take up messages whose commands ask for it, looked at first after the seconds of their service ($1, $2; $3 for others).
with fresh as (
    update subjects set note = replace(note, 'follow:', 'followed:')
    where (subject, exchange_id) in (
        select subject, exchange_id from subjects where note like '%follow:%' limit 200 for update skip locked
    )
    returning subject, at, (regexp_match(note, 'followed:([^ ]+)'))[1] as service_id
)
insert into shep_followed (message_id, service_id, sent_at, due_at)
select f.subject, f.service_id, f.at, f.at + make_interval(secs => coalesce(i.seconds, $3))
from fresh f left join unnest($1::text[], $2::double precision[]) i (service_id, seconds) using (service_id)
on conflict (message_id) do update set
    service_id = excluded.service_id, sent_at = excluded.sent_at,
    due_at = case when shep_followed.state in ('DELIVERED', 'NOT_DELIVERED') then null else excluded.due_at end
where shep_followed.service_id = ''
