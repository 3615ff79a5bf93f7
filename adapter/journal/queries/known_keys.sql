-- Who holds these identities, and how far they have come.
select k.key, k.exchange_id, k.body_sha256, e.fingerprint, e.settled
from command_key k left join exchanges e on e.id = k.exchange_id
where k.key = any($1::bytea[])
