insert into locker_movements (casenum, operation, postamatid, cellid, userid, reported, at, state)
values ($1, $2, $3, $4, $5, $6, $7, $8)
