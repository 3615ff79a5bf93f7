-- The newest exchange of these actions that began at a gateway, by its message's own id or by its subject.
select c.* from commands c
where c.id in (
    select i.id from incoming i where i.message_id = $2
    union select s.exchange_id from subjects s where s.subject = $2
) and c.action = any($1::text[]) and c.properties = ''::bytea
order by c.received_at desc, c.id desc limit 1
