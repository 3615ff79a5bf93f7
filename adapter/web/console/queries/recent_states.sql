-- What came since a moment, by action and state.
select action, state, count(*) as number from exchanges where id >= $1::uuid group by action, state order by action, state
