select operation, postamatid, cellid, userid, reported, at, state from locker_movements where casenum = $1 order by id
