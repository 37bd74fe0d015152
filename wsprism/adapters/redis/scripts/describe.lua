#!lua flags=allow-oom
-- with members
-- What else is known of a session is another now. One that was replaced meanwhile is another.
--   user, sid, generation, what is known
-- OK
local key = joined(ARGV[1], ARGV[2])
local session = session_of(key)
if session and session.generation == ARGV[3] then
  local about = {session.node, session.generation, session.opened, session.token, ARGV[4]}
  redis.call('HSET', T .. 's', key, cmsgpack.pack(about))
end
return {'OK'}
