#!lua
-- with members
-- Open a session: who is locked out stays out, who is too much gives way or is refused; check and change are one step.
-- Asked again with the same number of the same incarnation it gives the first answer, and does nothing.
--   incarnation, number, user, sid, ticket id ('': none), what else is known of it, generation ('': the next),
--   max_sessions_total, max_sessions_per_user, on_exceed (deny, kick_oldest),
--   whether it was there before with that generation (1: it gives way to newer ones, and is denied with that reason)
-- FENCED | DENIED, reason | OK, generation; then sid, incarnation, generation and reason of each that gave way
local node, user, sid, token = ARGV[1], ARGV[3], ARGV[4], ARGV[5]
local generation, most, most_of_user, was_there = ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[11] == '1'
local done = T .. 'o:' .. node .. ':' .. ARGV[2]
local before = redis.call('GET', done)
if before then
  return cmsgpack.unpack(before)
end
if fenced(node) then
  return {'FENCED'}
end
local now = now_ms()
for _, name in ipairs({'user:' .. user, 'sid:' .. sid, token ~= '' and 'token_id:' .. token}) do
  local ends = name and redis.call('ZSCORE', T .. 'rev', name)
  if ends and tonumber(ends) > now then
    return {'DENIED', 'revoked'}
  end
end

local us, key = T .. 'us:' .. user, joined(user, sid)
local other = session_of(key)
if was_there and other then
  if tonumber(other.generation) > tonumber(generation) then
    return {'DENIED', 'replaced'}
  end
  if other.generation == generation then
    remove(key, other, 1000000) -- itself, as it was counted for another incarnation
    other = nil
  end
end
local surplus = redis.call('ZCARD', us) - (other and 1 or 0) + 1 - most_of_user
if most_of_user == 0 or surplus < 0 then
  surplus = 0
end
if surplus > 0 and ARGV[10] == 'deny' then
  return {'DENIED', 'too_many_sessions'}
end
local evicted = {}
if other then
  evicted[1] = {sid, 'replaced'}
end
local kicked, newest = 0, was_there and '(' .. generation or '+inf'
for _, old in ipairs(redis.call('ZRANGEBYSCORE', us, '-inf', newest, 'LIMIT', 0, surplus + 1)) do
  if kicked < surplus and old ~= sid then
    kicked = kicked + 1
    evicted[#evicted + 1] = {old, 'kicked_oldest'}
  end
end
if kicked < surplus and was_there then
  return {'DENIED', 'kicked_oldest'}
end
if most > 0 and redis.call('HLEN', T .. 's') - #evicted >= most then
  return {'DENIED', 'tenant_full'}
end

local answer = {'OK', ''}
for _, one in ipairs(evicted) do
  local gone = joined(user, one[1])
  local session = session_of(gone)
  remove(gone, session, 1000000)
  control({'kick', session.node, user, one[1], session.generation, one[2], node})
  for _, word in ipairs({one[1], session.node, session.generation, one[2]}) do
    answer[#answer + 1] = word
  end
end
local taken = generation ~= '' and redis.call('ZCOUNT', T .. 'so', generation, generation) > 0
if generation == '' or taken or (other and tonumber(other.generation) >= tonumber(generation)) then
  generation = number(redis.call('INCR', T .. 'gen'))
  if other and tonumber(other.generation) >= tonumber(generation) then
    generation = number(redis.call('INCRBY', T .. 'gen', other.generation))
  end
elseif tonumber(redis.call('GET', T .. 'gen') or '0') < tonumber(generation) then
  redis.call('SET', T .. 'gen', generation) -- what it had given was lost
end
answer[2] = generation
redis.call('HSET', T .. 's', key, cmsgpack.pack({node, generation, number(now), token, ARGV[6]}))
redis.call('ZADD', T .. 'so', generation, key)
redis.call('ZADD', us, generation, sid)
redis.call('SADD', T .. 'n:' .. node, key)
redis.call('SADD', T .. 'bs:' .. sid, key)
if token ~= '' then
  redis.call('SADD', T .. 'bt:' .. token, key)
end
redis.call('SET', done, cmsgpack.pack(answer), 'PX', 60000)
return answer
