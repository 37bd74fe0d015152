#!lua flags=no-writes
-- How many are in rooms, on all nodes.
--   rooms
-- OK, then users and sessions of each
local answer = {'OK'}
for i, room in ipairs(ARGV) do
  answer[2 * i] = redis.call('HLEN', T .. 'u:' .. room)
  answer[2 * i + 1] = redis.call('HLEN', T .. 'r:' .. room)
end
return answer
