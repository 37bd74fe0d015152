#!lua flags=allow-oom
-- A purge, or a room that is to keep nothing any more: what is kept goes, and members are told the epoch that begins.
--   room, epoch to go on with, survives. Asked again with the same epoch it does nothing.
-- OK, whether anything was there
local room = ARGV[1]
local replid = replication_id()
local at = standing(room, now_ms(), ARGV[3], replid)
if at and at.epoch == ARGV[2] and at.top == 0 then
  return {'OK', 1}
end
local ttl = redis.call('HGET', T .. 'm:' .. room, 'w') or '0'
forget(room, ARGV[2], replid)
if at then
  begin(room, ARGV[2], replid, ttl)
end
return {'OK', at and 1 or 0}
