#!lua flags=no-writes
-- A page of who is locked out, in the order of the words on them.
--   behind which number, limit
-- OK, behind which number the next page begins ('': there is none), then what and name in one, until ms, and reason of each
local now, most = now_ms(), tonumber(ARGV[2])
local found = redis.call('ZRANGEBYSCORE', T .. 'revo', '(' .. ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', 0, most + 1)
local answer = {'OK', #found > 2 * most and found[2 * most] or ''}
for i = 1, math.min(#found, 2 * most), 2 do
  local ends = redis.call('ZSCORE', T .. 'rev', found[i])
  if ends and tonumber(ends) > now then
    answer[#answer + 1] = found[i]
    answer[#answer + 1] = ends
    answer[#answer + 1] = redis.call('HGET', T .. 'revr', found[i]) or ''
  end
end
return answer
