#!lua flags=allow-oom
-- with members
-- Lock out a user, a sid or a ticket until a time of Redis's clock; a time that has passed lets it in again. Every node is told.
--   what, name, until in ms, reason, most of them
-- FULL | OK, whether it was locked out before
local now, ends, name = now_ms(), tonumber(ARGV[3]), ARGV[1] .. ':' .. ARGV[2]
for _, over in ipairs(redis.call('ZRANGEBYSCORE', T .. 'rev', '-inf', now, 'LIMIT', 0, 1000)) do
  redis.call('ZREM', T .. 'rev', over)
  redis.call('ZREM', T .. 'revo', over)
  redis.call('HDEL', T .. 'revr', over)
end
local before = redis.call('ZSCORE', T .. 'rev', name)
if ends <= now then
  redis.call('ZREM', T .. 'rev', name)
  redis.call('ZREM', T .. 'revo', name)
  redis.call('HDEL', T .. 'revr', name)
else
  if not before and redis.call('ZCARD', T .. 'rev') >= tonumber(ARGV[5]) then
    return {'FULL'}
  end
  redis.call('ZADD', T .. 'rev', ARGV[3], name)
  redis.call('ZADD', T .. 'revo', redis.call('INCR', T .. 'rc'), name)
  redis.call('HSET', T .. 'revr', name, ARGV[4])
end
control({'revoke', ARGV[1], ARGV[2], ARGV[3]})
return {'OK', before and 1 or 0}
