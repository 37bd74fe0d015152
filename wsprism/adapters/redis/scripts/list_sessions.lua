#!lua flags=no-writes
-- with members
-- A page of the tenant's sessions, by generation: of all, or of those of a user, with a sid, in a room.
-- It looks at so many at most, so that it may have few or none and still not be the last.
--   behind which generation, most of them, user, sid, room ('': any), whether their rooms are wanted (1)
-- OK, behind which generation the next page begins ('': there is none), then of each: user, sid, incarnation, generation,
--   opened ms, what else is known, how many rooms follow, and those
local LOOKED_AT, MOST_BYTES, MOST_ROOMS = 500, 262144, 1000
local after, most, user, sid, room = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5]

-- Few keys, by generation; those behind `after`.
local function by_generation(keys)
  local found, of = {}, {}
  for _, key in ipairs(keys) do
    local generation = tonumber(redis.call('ZSCORE', T .. 'so', key) or 0)
    if generation > after then
      found[#found + 1] = key
      of[key] = generation
    end
  end
  table.sort(found, function(one, other) return of[one] < of[other] end)
  return found
end

local keys, whole = nil, true
if user ~= '' and sid ~= '' then
  keys = by_generation({joined(user, sid)})
elseif user ~= '' then
  keys = redis.call('ZRANGEBYSCORE', T .. 'us:' .. user, '(' .. ARGV[1], '+inf', 'LIMIT', 0, LOOKED_AT)
  whole = #keys < LOOKED_AT
  for at, one in ipairs(keys) do
    keys[at] = joined(user, one)
  end
elseif sid ~= '' and redis.call('SCARD', T .. 'bs:' .. sid) <= LOOKED_AT then
  keys = by_generation(redis.call('SMEMBERS', T .. 'bs:' .. sid))
elseif room ~= '' and redis.call('HLEN', T .. 'r:' .. room) <= LOOKED_AT then
  keys = by_generation(redis.call('HKEYS', T .. 'r:' .. room))
else
  keys = redis.call('ZRANGEBYSCORE', T .. 'so', '(' .. ARGV[1], '+inf', 'LIMIT', 0, LOOKED_AT)
  whole = #keys < LOOKED_AT
end

local answer, items, bytes, behind = {'OK', ''}, 0, 0, ''
for at, key in ipairs(keys) do
  local session = session_of(key)
  local whose, which = parted(key)
  if session then
    behind = session.generation
    if (sid == '' or which == sid) and (room == '' or redis.call('HEXISTS', T .. 'r:' .. room, key) == 1) then
      local rooms = {}
      if ARGV[6] == '1' then
        rooms = redis.call('SRANDMEMBER', T .. 'sr:' .. key, MOST_ROOMS)
      end
      for _, word in ipairs({whose, which, session.node, session.generation, session.opened, session.about, #rooms}) do
        answer[#answer + 1] = word
      end
      bytes = bytes + #whose + #session.about
      for _, name in ipairs(rooms) do
        answer[#answer + 1] = name
        bytes = bytes + #name
      end
      items = items + 1
      if (items == most or bytes > MOST_BYTES) and at < #keys then
        whole = false
        break
      end
    end
  end
end
if not whole then
  answer[2] = behind
end
return answer
