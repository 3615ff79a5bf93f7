-- Notes that changes up to a moment ($1) were asked for.
update epgu_follower set asked_at = $1;
