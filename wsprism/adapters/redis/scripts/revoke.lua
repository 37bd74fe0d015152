#!lua flags=allow-oom
-- with members
-- Lock out a user, a sid or a ticket until a time of Redis's clock; one that has passed lets it in again.
-- Sessions of that name are ended in the same step. Every node is told.
-- Asked again with the same number of the same incarnation it gives the first answer, and does nothing.
--   incarnation, number, what, name, until in ms, reason, most of them
-- DENIED, reason | OK, whether it was locked out before, how many sessions were ended, then the incarnations that had them
local done = T .. 'o:' .. ARGV[1] .. ':' .. ARGV[2]
local first = redis.call('GET', done)
if first then
  return cmsgpack.unpack(first)
end
local now, ends, name = now_ms(), tonumber(ARGV[5]), ARGV[3] .. ':' .. ARGV[4]
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
  if not before and redis.call('ZCARD', T .. 'rev') >= tonumber(ARGV[7]) then
    return {'DENIED', 'revocations_full'}
  end
  redis.call('ZADD', T .. 'rev', ARGV[5], name)
  redis.call('ZADD', T .. 'revo', redis.call('INCR', T .. 'rc'), name)
  redis.call('HSET', T .. 'revr', name, ARGV[6])
end
local answer, nodes = {'OK', before and 1 or 0, 0}, {}
if ends > now then
  local keys
  if ARGV[3] == 'user' then
    keys = redis.call('ZRANGE', T .. 'us:' .. ARGV[4], 0, -1)
    for at, sid in ipairs(keys) do
      keys[at] = joined(ARGV[4], sid)
    end
  else
    keys = redis.call('SMEMBERS', T .. (ARGV[3] == 'sid' and 'bs:' or 'bt:') .. ARGV[4])
  end
  for _, key in ipairs(keys) do
    local session = session_of(key)
    if session then
      remove(key, session, 1000000)
      answer[3] = answer[3] + 1
      if not nodes[session.node] then
        nodes[session.node] = true
        answer[#answer + 1] = session.node
      end
    end
  end
end
if before or ends > now then
  control({'revoke', ARGV[3], ARGV[4], ARGV[5]})
end
redis.call('SET', done, cmsgpack.pack(answer), 'PX', 60000)
return answer
