-- Held against a change until the end of the transaction that relies on it.
select number, type, address, departments, storage_days, active from lockers where number = $1 for share
