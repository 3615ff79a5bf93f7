-- Commands whose answer tied them to a subject under a note's word; none but a faulty gateway ties two.
select c.* from subjects s join commands c on c.id = s.exchange_id
where s.subject = $1 and $2::text = any(string_to_array(s.note, ' ')) and c.properties <> ''::bytea
order by c.id limit 2
