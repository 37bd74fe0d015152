#!lua flags=allow-oom
-- A node says what it is, for those who list nodes; who has said nothing for a long time is forgotten. Not a tenant's.
--   incarnation, what it says of itself, for how long others are remembered in ms
-- OK
local now = now_ms()
redis.call('ZADD', T .. 'nodes', now, ARGV[1])
redis.call('HSET', T .. 'about', ARGV[1], ARGV[2])
for _, old in ipairs(redis.call('ZRANGEBYSCORE', T .. 'nodes', '-inf', now - ARGV[3], 'LIMIT', 0, 100)) do
  redis.call('ZREM', T .. 'nodes', old)
  redis.call('HDEL', T .. 'about', old)
end
return {'OK'}
