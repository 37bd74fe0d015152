#!lua flags=no-writes
-- with members
-- A page of the tenant's rooms that have members, in the order in which they were opened.
--   behind which number, limit
-- OK, then room, number, sessions and users of each
local answer = {'OK'}
local found = redis.call('ZRANGEBYSCORE', T .. 'ro', '(' .. ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
for i = 1, #found, 2 do
  local room = found[i]
  for _, word in ipairs({room, found[i + 1], redis.call('HLEN', T .. 'r:' .. room), redis.call('HLEN', T .. 'u:' .. room)}) do
    answer[#answer + 1] = word
  end
end
return answer
