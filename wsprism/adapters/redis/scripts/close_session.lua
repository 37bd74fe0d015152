#!lua flags=allow-oom
-- with members
-- Forget a session and what it was in. One that was replaced meanwhile is another.
--   user, sid, generation
-- OK, whether it was there
local key = joined(ARGV[1], ARGV[2])
local session = session_of(key)
if not session or session.generation ~= ARGV[3] then
  return {'OK', 0}
end
remove(key, session, 1000000)
return {'OK', 1}
