#!lua flags=no-writes
-- with members
-- A page of the tenant's sessions, by generation; or of those of one user.
--   behind which generation, limit, user ('': of all)
-- user, sid, incarnation, generation, opened ms, ticket id, what else is known, and how many rooms it is in, of each
local answer, user = {}, ARGV[3]
local where = user == '' and T .. 'so' or T .. 'us:' .. user
for _, found in ipairs(redis.call('ZRANGEBYSCORE', where, '(' .. ARGV[1], '+inf', 'LIMIT', 0, ARGV[2])) do
  local key = user == '' and found or joined(user, found)
  local session = session_of(key)
  if session then
    local whose, sid = parted(key)
    local rooms = redis.call('SCARD', T .. 'sr:' .. key)
    for _, word in ipairs({whose, sid, session.node, session.generation, session.opened, session.token, session.about}) do
      answer[#answer + 1] = word
    end
    answer[#answer + 1] = rooms
  end
end
return answer
