-- Have services fetched that the gateway delivers, as soon as their interval allows.
insert into shep_pulls (service_id, woken) select unnest($1::text[]), true
on conflict (service_id) do update set woken = true where not shep_pulls.woken
returning service_id
