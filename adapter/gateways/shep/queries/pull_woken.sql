-- Services that are fetched because their delivery point seems to be switched off.
select service_id from shep_pulls where woken
