-- What waits for a person is counted by the page of metrics: a few rows among all that ever were.
create index exchanges_parked on exchanges (finished_at) where state in ('uncertain', 'dead');
