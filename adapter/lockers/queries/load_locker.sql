select number, type, address, departments, storage_days, active from lockers where number = $1
