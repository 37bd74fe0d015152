#!lua
-- Keep a one-time ticket, by its hash, until somebody comes with it. One that is kept already is.
--   incarnation, hash, whom it stands for, ttl_ms, most of them
-- FENCED | OK, whether there was room for it
if fenced(ARGV[1]) then
  return {'FENCED'}
end
local t, now = T .. 't:' .. ARGV[2], now_ms()
if redis.call('EXISTS', t) == 1 then
  return {'OK', 1}
end
redis.call('ZREMRANGEBYSCORE', T .. 'tk', '-inf', now)
if redis.call('ZCARD', T .. 'tk') >= tonumber(ARGV[5]) then
  return {'OK', 0}
end
redis.call('ZADD', T .. 'tk', now + ARGV[4], ARGV[2])
redis.call('SET', t, ARGV[3], 'PX', ARGV[4])
return {'OK', 1}
