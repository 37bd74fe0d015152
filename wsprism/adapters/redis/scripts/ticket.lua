#!lua
-- Keep a one-time ticket, by its hash, until somebody comes with it.
--   hash, whom it stands for, ttl_ms, most of them
-- whether there was room for it
local now = now_ms()
redis.call('ZREMRANGEBYSCORE', T .. 'tk', '-inf', now)
if redis.call('ZCARD', T .. 'tk') >= tonumber(ARGV[4]) then
  return 0
end
redis.call('ZADD', T .. 'tk', now + ARGV[3], ARGV[1])
redis.call('SET', T .. 't:' .. ARGV[1], ARGV[2], 'PX', ARGV[3])
return 1
