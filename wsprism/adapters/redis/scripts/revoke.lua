#!lua flags=allow-oom
-- with members
-- Lock out a user, a sid or a ticket until a time of Redis's clock; one that has passed lets it in again.
-- Sessions of that name are ended in the same step. Every node is told.
--   what, name, until in ms, reason, most of them
-- DENIED, reason | OK, whether it was locked out before, how many sessions were ended
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
    return {'DENIED', 'revocations_full'}
  end
  redis.call('ZADD', T .. 'rev', ARGV[3], name)
  redis.call('ZADD', T .. 'revo', redis.call('INCR', T .. 'rc'), name)
  redis.call('HSET', T .. 'revr', name, ARGV[4])
end
local ended = 0
if ends > now then
  local keys
  if ARGV[1] == 'user' then
    keys = redis.call('ZRANGE', T .. 'us:' .. ARGV[2], 0, -1)
    for at, sid in ipairs(keys) do
      keys[at] = joined(ARGV[2], sid)
    end
  else
    keys = redis.call('SMEMBERS', T .. (ARGV[1] == 'sid' and 'bs:' or 'bt:') .. ARGV[2])
  end
  for _, key in ipairs(keys) do
    local session = session_of(key)
    if session then
      remove(key, session, 1000000)
      ended = ended + 1
    end
  end
end
if before or ends > now then
  control({'revoke', ARGV[1], ARGV[2], ARGV[3]})
end
return {'OK', before and 1 or 0, ended}
