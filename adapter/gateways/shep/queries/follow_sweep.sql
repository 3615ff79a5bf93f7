-- Forget what was over long ago.
delete from shep_followed where due_at is null and sent_at < now() - interval '7 days'
