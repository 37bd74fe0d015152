#!lua flags=allow-oom
-- with members
-- A session leaves a room.
--   user, sid, generation, room
-- OK, users and sessions that are left in it
local user = ARGV[1]
local key = joined(user, ARGV[2])
local session = session_of(key)
if session and session.generation == ARGV[3] then
  leave(key, user, ARGV[4])
end
return {'OK', redis.call('HLEN', T .. 'u:' .. ARGV[4]), redis.call('HLEN', T .. 'r:' .. ARGV[4])}
