-- The exchange that a gateway's message began, by the message's identity.
select exchange_id from command_key where key = $1
