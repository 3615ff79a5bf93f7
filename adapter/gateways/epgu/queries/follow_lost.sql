-- Uploads that expired after a moment ($1) without an answer, with what was asked of ЕПГУ; nobody follows their orders.
select e.id, (
    select p.data from proof p where p.exchange_id = e.id and p.kind = 'request' order by p.at desc limit 1
) as asked
from exchanges e
where e.gateway = 'epgu' and e.operation = 'push-chunked' and e.state = 'expired' and e.finished_at > $1
    and not exists (select from epgu_followed f where f.exchange_id = e.id);
