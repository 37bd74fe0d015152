#!lua flags=allow-oom
-- A purge, or a room that is to keep nothing any more: what is kept goes, and members are told the epoch that begins.
-- Asked again with the same number of the same incarnation it gives the first answer, and does nothing: what was
-- published meanwhile is of the epoch that began, and stays.
--   node, number, room, epoch to go on with, survives
-- FENCED | OK, whether anything was there
local node, room, epoch = ARGV[1], ARGV[3], ARGV[4]
local before = done_before(node, room, ARGV[2])
if before then
  return {'OK', tonumber(before[2])}
end
if fenced(node) then
  return {'FENCED'}
end
local replid = replication_id()
local at = standing(room, now_ms(), ARGV[5], replid)
local ttl = redis.call('HGET', T .. 'm:' .. room, 'w') or '0'
forget(room, epoch, replid)
if at then
  begin(room, epoch, replid, ttl)
end
local was_there = at and 1 or 0
done_now(node, room, ARGV[2], epoch, was_there, '')
return {'OK', was_there}
