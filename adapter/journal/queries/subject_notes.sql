-- What the calls of a subject left noted, of those that came to something.
select distinct s.note from subjects s join exchanges e on e.id = s.exchange_id
where s.subject = $1 and s.note <> '' and e.state in ('waiting', 'answered', 'replied')
