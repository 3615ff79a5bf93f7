-- Orders whose details are to be read now, at most $1.
select * from epgu_followed where due_at <= now() order by due_at limit $1;
