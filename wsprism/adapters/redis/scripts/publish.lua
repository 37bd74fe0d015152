#!lua
-- Give a turn of a room its offsets, keep it, and tell every node that has members. Asked again with the same number of
-- the same incarnation it gives the first answer, and does nothing. A room that keeps nothing has publish_only.lua.
--   node, batch, room, epoch to begin with, survives, max_messages, max_bytes, ttl_ms,
--   histories of the tenant at most, bytes of them at most; then id ('': none) and body of each
-- FENCED | OK, epoch, top before, offsets with commas
local node, batch, room, candidate, survives = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local most, most_bytes, ttl = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local BODIES = 11

local told = told_at_once(node, room, batch)
if told then
  return told
end

local heard = listeners(room) > 0
local now, replid = now_ms(), replication_id()
local m, h, ids = T .. 'm:' .. room, T .. 'h:' .. room, T .. 'i:' .. room
local at = standing(room, now, survives, replid)
if not at then
  forget(room, candidate, replid)
  at = {epoch = candidate, top = 0, first = 1, bytes = 0, oldest = 0, newest = 0}
end
local was_top, was_bytes = at.top, at.bytes

local kept = at.top - at.first + 1
if redis.call('XLEN', h) ~= kept or at.newest <= now - ttl then
  -- All of it is too old; or somebody else has taken a part of it away, and a part is not the truth.
  redis.call('UNLINK', h, ids)
  at.first, at.bytes, at.oldest = at.top + 1, 0, 0
end

local offsets, bodies = {}, {}
for i = BODIES, #ARGV, 2 do
  local id, body = ARGV[i], ARGV[i + 1]
  local known = id ~= '' and redis.call('HGET', ids, id)
  if known then
    offsets[#offsets + 1] = known
  else
    at.top = at.top + 1
    local offset = number(at.top)
    if id == '' then
      redis.call('XADD', h, offset .. '-0', 't', now, 'd', body)
    else
      redis.call('XADD', h, offset .. '-0', 't', now, 'd', body, 'i', id)
      redis.call('HSET', ids, id, offset)
    end
    at.bytes = at.bytes + #body
    if at.oldest == 0 then
      at.oldest = now
    end
    offsets[#offsets + 1] = offset
    bodies[#bodies + 1] = body
  end
end

local function surplus()
  return at.first <= at.top and (at.top - at.first + 1 > most or at.bytes > most_bytes or at.oldest <= now - ttl)
end
while #bodies > 0 and surplus() do
  local dropped = 0
  local oldest = redis.call('XRANGE', h, '-', '+', 'COUNT', math.min(128, math.max(1, at.top - at.first + 1 - most) + 1))
  for _, entry in ipairs(oldest) do
    local fields = entry[2]
    at.oldest = tonumber(fields[2])
    if not surplus() then
      break
    end
    at.bytes = at.bytes - #fields[4]
    if fields[6] then
      redis.call('HDEL', ids, fields[6])
    end
    at.first = at.first + 1
    dropped = dropped + 1
  end
  redis.call('XTRIM', h, 'MINID', number(at.first) .. '-0')
  if at.first > at.top then
    at.oldest = 0
  end
end

redis.call('HSET', m, 'e', at.epoch, 's', number(at.top), 'r', replid, 'f', number(at.first), 'y', number(at.bytes),
  'o', number(at.oldest), 'l', number(now), 'w', ARGV[8])

redis.call('ZADD', T .. 'hx', redis.call('INCR', T .. 'hc'), room)
redis.call('PERSIST', m)
if heard then
  redis.call('ZREM', T .. 'hz', room)
else
  redis.call('ZADD', T .. 'hz', now + ttl, room)
end
local bytes_together = redis.call('INCRBY', T .. 'hb', number(at.bytes - was_bytes))
evict(tonumber(ARGV[9]), tonumber(ARGV[10]), bytes_together, room, candidate, replid)

if #bodies > 0 then
  local fields = {'T', at.epoch, node, batch, number(at.top - #bodies + 1)}
  for _, body in ipairs(bodies) do
    fields[#fields + 1] = body
  end
  tell(room, fields)
end
local given = table.concat(offsets, ',') .. changed
done_now(node, room, batch, at.epoch, number(was_top), given)
return {'OK', at.epoch, number(was_top), given}
