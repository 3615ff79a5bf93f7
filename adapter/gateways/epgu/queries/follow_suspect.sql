-- Looks at the orders of a holder ($1) now: its token may be the matter.
update epgu_followed set due_at = now() where who = $1::jsonb and stage <> 'ended' and not needs_token and due_at is null;
