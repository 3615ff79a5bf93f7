insert into lockers (number, type, address, departments, storage_days, active) values ($1, $2, $3, $4, $5, $6)
on conflict (number) do nothing
returning number
