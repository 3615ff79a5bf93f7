select number, type, address, departments, storage_days, active from lockers order by length(number), number
