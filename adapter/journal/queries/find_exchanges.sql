-- By every id that a person may hold: ours, the command's, its correlation, the request's, that of a gateway's message.
-- The names of gateways are walked along the index first, so that each look is an index look.
with recursive gateways (gateway) as (
    (select gateway from exchanges where gateway_id is not null order by gateway limit 1)
    union all
    select (
        select e.gateway from exchanges e
        where e.gateway_id is not null and e.gateway > g.gateway order by e.gateway limit 1
    ) from gateways g where g.gateway is not null
)
select * from commands where id in (
    select id from exchanges where id = $1::uuid
    union select id from incoming where message_id = $2::text
    union select id from incoming where correlation = $2::text
    union select e.id from gateways g join exchanges e on e.gateway = g.gateway and e.gateway_id = $2::text
    union select k.exchange_id from gateways g join command_key k
        on k.key = sha256(convert_to(g.gateway, 'UTF8') || '\x00'::bytea || convert_to($2::text, 'UTF8'))
)
order by received_at, id limit $3
