select data from proof where exchange_id = $1 and kind in ('answer', 'status') order by at limit 1
