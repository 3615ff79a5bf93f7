-- Uploads to ЕПГУ whose answer was lost until their deadline: whether the order was accepted, following finds out.
alter table epgu_followed add doubtful boolean not null default false;

create index exchanges_epgu_lost on exchanges (finished_at)
    where gateway = 'epgu' and operation = 'push-chunked' and state = 'expired';
