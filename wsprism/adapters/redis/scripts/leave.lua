#!lua flags=allow-oom
-- with members
-- A session leaves a room.
--   user, sid, generation, room
-- OK, whether it was in it, whether it closed the room
local user = ARGV[1]
local key = joined(user, ARGV[2])
local session = session_of(key)
if not session or session.generation ~= ARGV[3] then
  return {'OK', 0, 0}
end
local closed = leave(key, user, ARGV[4])
if closed == nil then
  return {'OK', 0, 0}
end
return {'OK', 1, closed and 1 or 0}
