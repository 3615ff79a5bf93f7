-- A clean end: what is left is handed back (the next worker takes it and no crash attempt is burned), then the lease.
with handed_back as (
    update exchanges set owner = null where owner = $1 and state in ('received', 'submitting', 'answered')
)
delete from workers where id = $1
