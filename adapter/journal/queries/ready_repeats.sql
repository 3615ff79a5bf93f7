-- Repeats whose command has ended meanwhile.
select e.* from commands e join exchanges o on o.id = e.repeat_of
where e.state = 'waiting' and e.repeat_of is not null and o.finished_at is not null
limit $1
