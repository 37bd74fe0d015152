#!lua
-- Give a turn of a room that keeps nothing its offsets, and tell every node that has members. Asked again with the same
-- number of the same incarnation it gives the first answer, and does nothing.
--   node, batch, room, epoch to begin with, survives, how many bodies, the bodies as they are told: framed
-- FENCED | OK, epoch, top before, '' (of a change its version): the offsets are those behind it
local node, batch, room, candidate, survives = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

local told = told_at_once(node, room, batch)
if told then
  return told
end

local heard, m, replid = listeners(room) > 0, T .. 'm:' .. room, replication_id()
local found = redis.call('HMGET', m, 'e', 's', 'r', 'w')
local epoch, was_top = found[1], found[2]
local top
if heard and epoch and found[4] == '0' and (survives == '1' or found[3] == replid) then
  -- It kept nothing before either, and nothing has ended: whoever listens has seen to that.
  top = number(was_top + ARGV[6])
  redis.call('HSET', m, 's', top, 'f', number(top + 1), 'r', replid)
else
  local now = now_ms()
  local at = standing(room, now, survives, replid)
  if not at then
    forget(room, candidate, replid)
    at = {epoch = candidate, top = 0, first = 1, bytes = 0}
  elseif at.first <= at.top then
    redis.call('UNLINK', T .. 'h:' .. room, T .. 'i:' .. room)
    redis.call('DECRBY', T .. 'hb', number(at.bytes))
  end
  epoch, was_top = at.epoch, number(at.top)
  top = number(at.top + ARGV[6])
  redis.call('HSET', m, 'e', epoch, 's', top, 'r', replid, 'f', number(top + 1), 'y', '0', 'o', '0', 'l', number(now),
    'w', '0')
  if not heard then
    redis.call('PEXPIRE', m, 60000)
  end
end

local first = number(was_top + 1)
local head = struct.pack('>I4c0I4c0I4c0I4c0I4c0', 1, 'T', #epoch, epoch, #node, node, #batch, batch, #first, first)
redis.call('SPUBLISH', T .. 'c:' .. room, head .. ARGV[7])
done_now(node, room, batch, epoch, was_top, changed)
return {'OK', epoch, was_top, changed}
