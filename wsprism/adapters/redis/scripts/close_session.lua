#!lua flags=allow-oom
-- with members
-- Forget a session and what it was in. One that was replaced meanwhile is another.
--   user, sid, generation, then rooms
-- OK, sessions that its user has left, and of each room users and sessions
local key = joined(ARGV[1], ARGV[2])
local session = session_of(key)
if session and session.generation == ARGV[3] then
  remove(key, session, 1000000)
end
local answer = {'OK', redis.call('ZCARD', T .. 'us:' .. ARGV[1])}
for i = 4, #ARGV do
  answer[#answer + 1] = redis.call('HLEN', T .. 'u:' .. ARGV[i])
  answer[#answer + 1] = redis.call('HLEN', T .. 'r:' .. ARGV[i])
end
return answer
