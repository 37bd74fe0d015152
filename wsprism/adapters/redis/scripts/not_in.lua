#!lua flags=no-writes
-- with members
-- Which sessions are not in a room that their node believes them to be in.
--   user, sid, generation and room of each
-- OK, then the places, from 0, of those
local answer = {'OK'}
for i = 1, #ARGV, 4 do
  local key = joined(ARGV[i], ARGV[i + 1])
  local session = session_of(key)
  local is_in = redis.call('HEXISTS', T .. 'r:' .. ARGV[i + 3], key) == 1
  if not (is_in and session and session.generation == ARGV[i + 2]) then
    answer[#answer + 1] = (i - 1) / 4
  end
end
return answer
