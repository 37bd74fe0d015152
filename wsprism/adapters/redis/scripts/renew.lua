#!lua flags=allow-oom
-- A node says that it lives, here for the first time or again. Its time is Redis's.
--   incarnation, lease_ms, enters
-- FENCED | OK, Redis's ms, nodes that live, replication id, an incarnation whose lease is over ('': none), the last offset
--   of what every node is to hear (who enters hears all behind it), ms until the next lease ends
local node, now, leases = ARGV[1], now_ms(), T .. 'leases'
local held = redis.call('ZSCORE', leases, node)
if (not held and ARGV[3] ~= '1') or (held and tonumber(held) == 0) then
  return {'FENCED'}
end
redis.call('ZADD', leases, now + ARGV[2], node)
local over = redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, 1)
local next_end = redis.call('ZRANGEBYSCORE', leases, '(' .. number(now), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
return {
  'OK', number(now), redis.call('ZCOUNT', leases, now, '+inf'), replication_id(), over[1] or '',
  redis.call('GET', T .. 'cs') or '0', number(tonumber(next_end) - now),
}
