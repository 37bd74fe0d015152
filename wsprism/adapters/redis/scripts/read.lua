#!lua flags=allow-oom
-- Where a room stands, and what is kept of it: behind an offset, oldest first; or before it, newest first. Oldest first it
-- ends behind 256 KiB of bodies: an answer that Redis has to keep for long costs the connection.
--   room, survives, ttl_ms, offset ('': from the end where it begins), limit, reverse,
--   epoch to begin with where it stands nowhere ('': it is only looked at),
--   the epoch that the offset is of ('': of any; of another one it counts as '')
-- NONE | OK, epoch, top, first kept, Redis's ms; then offset, time in ms and body of each
local room, survives, ttl, limit, reverse = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[5]), ARGV[6] == '1'
local now, replid = now_ms(), replication_id()
local at = standing(room, now, survives, replid)
if not at then
  if ARGV[7] == '' then
    return {'NONE'}
  end
  forget(room, ARGV[7], replid)
  begin(room, ARGV[7], replid, ARGV[3])
  return {'OK', ARGV[7], '0', '1', number(now)}
end
local offset = ARGV[4]
if ARGV[8] ~= '' and ARGV[8] ~= at.epoch then
  offset = ''
end
local h = T .. 'h:' .. room
local kept = redis.call('XLEN', h)
local too_old = now - ttl
local first = at.first
if kept ~= at.top - first + 1 or at.newest <= too_old then
  first, kept = at.top + 1, 0
elseif kept > 0 and at.oldest <= too_old then
  -- The first that is young enough is looked for by halves: entries have no index of times.
  local low, high = first, at.top
  while low < high do
    local middle = math.floor((low + high) / 2)
    local found = redis.call('XRANGE', h, number(middle) .. '-0', number(middle) .. '-0')
    if tonumber(found[1][2][2]) <= too_old then
      low = middle + 1
    else
      high = middle
    end
  end
  first = low
end

local answer = {'OK', at.epoch, number(at.top), number(first), number(now)}
if limit == 0 or kept == 0 then
  return answer
end
local function take(entry)
  answer[#answer + 1] = string.match(entry[1], '^%d+')
  answer[#answer + 1] = entry[2][2]
  answer[#answer + 1] = entry[2][4]
  return #entry[2][4]
end
if reverse then
  local last = offset == '' and at.top or math.min(tonumber(offset) - 1, at.top)
  if last < first then
    return answer
  end
  for _, entry in ipairs(redis.call('XREVRANGE', h, number(last) .. '-0', number(first) .. '-0', 'COUNT', limit)) do
    take(entry)
  end
  return answer
end
local from, bytes = offset == '' and first or math.max(tonumber(offset) + 1, first), 0
while from <= at.top and limit > 0 and bytes < 262144 do
  for _, entry in ipairs(redis.call('XRANGE', h, number(from) .. '-0', '+', 'COUNT', math.min(limit, 64))) do
    if bytes < 262144 then
      bytes = bytes + take(entry)
      from = from + 1
      limit = limit - 1
    end
  end
end
return answer
