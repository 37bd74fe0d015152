#!lua flags=no-writes
-- with members
-- Whether a session is in a room.
--   user, sid, generation, room
-- OK, 1 or 0
local key = joined(ARGV[1], ARGV[2])
local session = session_of(key)
if not session or session.generation ~= ARGV[3] then
  return {'OK', 0}
end
return {'OK', redis.call('HEXISTS', T .. 'r:' .. ARGV[4], key)}
