#!lua flags=allow-oom
-- with members
-- End a user's sessions, or one of them: counted no more, and the nodes that have them are told why.
--   user, sid ('': all of them), reason
-- OK, how many it were
local user, found = ARGV[1], {ARGV[2]}
if ARGV[2] == '' then
  found = redis.call('ZRANGE', T .. 'us:' .. user, 0, -1)
end
local ended = 0
for _, sid in ipairs(found) do
  local key = joined(user, sid)
  local session = session_of(key)
  if session then
    remove(key, session, 1000000, false)
    control({'kick', session.node, user, sid, session.generation, ARGV[3], ''})
    ended = ended + 1
  end
end
return {'OK', ended}
