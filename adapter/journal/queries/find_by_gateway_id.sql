select e.* from exchanges e
join unnest($1::text[], $2::text[]) as u (gateway, gateway_id)
    on e.gateway = u.gateway and e.gateway_id = u.gateway_id
