-- Leases that lapsed long ago serve nobody.
delete from workers where lease_until < now() - interval '1 day'
