select ensure_day_partitions($1)
