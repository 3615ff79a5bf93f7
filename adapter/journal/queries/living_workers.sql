select count(*) from workers where lease_until > now()
