#!lua flags=allow-oom
-- Where many rooms stand, for a node that listens to them and looks whether it has missed something.
--   incarnation, survives, then rooms
-- FENCED | OK, and of each epoch, top ('' and 0: it stands nowhere), how many nodes listen, and the version of its presence
local node, now, replid, answer = ARGV[1], now_ms(), replication_id(), {'OK'}
if fenced(node) then
  return {'FENCED'}
end
for i = 3, #ARGV do
  local room = ARGV[i]
  enter(node, room)
  local at = standing(room, now, ARGV[2], replid)
  answer[#answer + 1] = at and at.epoch or ''
  answer[#answer + 1] = at and number(at.top) or '0'
  answer[#answer + 1] = listeners(room)
  answer[#answer + 1] = redis.call('HGET', T .. 'p:' .. room, '') or '0'
end
return answer
