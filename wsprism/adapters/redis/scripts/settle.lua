#!lua flags=allow-oom
-- The end of what an idempotency key was claimed for: the answer that is remembered, or none, and it may be tried again.
-- Beyond so many answers, or bytes of them, the oldest are forgotten.
--   ak sorted set: keys by when they were answered   as hash: key -> bytes   ab bytes of all
--   who has claimed it: incarnation, number; key, answer ('': none), for so long in ms, most answers, most bytes
-- OK, whether it was still the caller's
local key, now = ARGV[3], now_ms()
local a = T .. 'a:' .. key
local found = redis.call('HMGET', a, 'c', 'a')
if found[2] or found[1] ~= ARGV[1] .. ':' .. ARGV[2] then
  return {'OK', 0}
end
if ARGV[4] == '' then
  redis.call('DEL', a)
  return {'OK', 1}
end

local function forget(old)
  redis.call('DECRBY', T .. 'ab', redis.call('HGET', T .. 'as', old) or 0)
  redis.call('HDEL', T .. 'as', old)
  redis.call('ZREM', T .. 'ak', old)
end

if redis.call('ZSCORE', T .. 'ak', key) then
  forget(key)
end
redis.call('HSET', a, 'a', ARGV[4])
redis.call('PEXPIRE', a, ARGV[5])
redis.call('ZADD', T .. 'ak', now, key)
redis.call('HSET', T .. 'as', key, #ARGV[4])
local bytes = redis.call('INCRBY', T .. 'ab', #ARGV[4])
for _, old in ipairs(redis.call('ZRANGEBYSCORE', T .. 'ak', '-inf', now - ARGV[5], 'LIMIT', 0, 100)) do
  forget(old)
end
bytes = tonumber(redis.call('GET', T .. 'ab'))
while redis.call('ZCARD', T .. 'ak') > tonumber(ARGV[6]) or (bytes > tonumber(ARGV[7]) and redis.call('ZCARD', T .. 'ak') > 1) do
  local oldest = redis.call('ZRANGE', T .. 'ak', 0, 0)[1]
  forget(oldest)
  redis.call('DEL', T .. 'a:' .. oldest)
  bytes = tonumber(redis.call('GET', T .. 'ab'))
end
return {'OK', 1}
