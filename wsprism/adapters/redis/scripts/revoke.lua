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
forget_revocations(now)
local before = redis.call('ZSCORE', T .. 'rev', name)
local answer = {'OK', before and 1 or 0, 0}
if ends > now then
  if not before and redis.call('ZCARD', T .. 'rev') >= tonumber(ARGV[7]) then
    return {'DENIED', 'revocations_full'}
  end
  local ended, nodes = lock_out(ARGV[3], ARGV[4], ARGV[5], ARGV[6], number(now))
  answer = {'OK', before and 1 or 0, ended, unpack(nodes)}
elseif before then
  forget_revocation(name)
  local remembered = math.min(tonumber(before), now + 86400000)
  redis.call('SET', T .. 'lifted:' .. name, number(now), 'PXAT', number(remembered))
  control({'revoke', ARGV[3], ARGV[4], ARGV[5], '', number(now)})
end
redis.call('SET', done, cmsgpack.pack(answer), 'PX', 60000)
return answer
