-- Stands before every script. KEYS[1] is the tenant's prefix: all other keys are made of it.
--   leases   sorted set: incarnation -> end of its lease in Redis's ms, 0 while it is reaped   nodes  what it says of itself
--   rn:<room> set: incarnations that listen to a room                 nr:<incarnation>  set: rooms that it listens to
--   m:<room> hash: e epoch, s top, r replication id, f first kept, y bytes kept, o time of the oldest, l of the newest, w ttl
--   h:<room> stream: offset-0 -> t time, d body, i id      i:<room>  hash: id -> offset
--   hx, hb   histories by last use, their bytes together   hz        their ends, where nobody is in the room
--   b:<incarnation>:<room> what it did last in a room, and the answer: number, top, offsets, epoch
--   p:<room> hash: key -> number, incarnation, entry of presence; '' -> version, how often it has changed
--   np:<incarnation> set: the entries that it has put, as room and key joined
--   c:<room> channel of a room: fields, each behind its length
--     T epoch, incarnation, batch, first offset, bodies: a turn       G epoch, top: it goes on from there
--     P version (0: nobody is left), user, sid, entry ('': gone)      N count: so many nodes listen
--     H incarnation, hot frames: handed on
local T = KEYS[1]

-- Of a turn that is a change of a value: a comma and its version, which its answer ends with.
local changed = ''

local function number(value)
  return string.format('%.0f', value)
end

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Text that anybody chose, so joined that it cannot be mistaken for another.
local function joined(user, sid)
  return #user .. ':' .. user .. sid
end

local function parted(key)
  local length = string.match(key, '^(%d+):')
  local from = #length + 2
  return string.sub(key, from, from + length - 1), string.sub(key, from + length)
end

local function framed(fields)
  local parts = {}
  for at, field in ipairs(fields) do
    parts[2 * at - 1], parts[2 * at] = #field, field
  end
  return struct.pack('>' .. string.rep('I4c0', #fields), unpack(parts))
end

-- Whether this incarnation of a node may write no more: others have begun to clean up after it.
local function fenced(node)
  local held = redis.call('ZSCORE', T .. 'leases', node)
  return not held or tonumber(held) == 0
end

-- Of this life of this primary. Nothing that can be kept would do: what is kept goes on in a replica that takes over.
local function replication_id()
  local told = redis.call('INFO', 'replication')
  local _, before = string.find(told, 'master_replid:', 1, true)
  return string.sub(told, before + 1, before + 40)
end

local function tell(room, fields)
  redis.call('SPUBLISH', T .. 'c:' .. room, framed(fields))
end

local function listeners(room)
  return redis.call('SCARD', T .. 'rn:' .. room)
end

-- Forget what is kept of a room. While nodes listen it goes on as another epoch; where it was one before, they are told.
local function forget(room, epoch, replid)
  local m = T .. 'm:' .. room
  local before = redis.call('HMGET', m, 'y', 'e')
  if before[1] and before[1] ~= '0' then
    redis.call('DECRBY', T .. 'hb', before[1])
  end
  redis.call('UNLINK', T .. 'h:' .. room, T .. 'i:' .. room)
  redis.call('ZREM', T .. 'hx', room)
  redis.call('ZREM', T .. 'hz', room)
  if listeners(room) == 0 then
    redis.call('DEL', m)
    return
  end
  redis.call('HSET', m, 'e', epoch, 's', '0', 'r', replid, 'f', '1', 'y', '0', 'o', '0', 'l', '0')
  if before[2] then
    tell(room, {'G', epoch, '0'})
  end
end

-- Where a room stands: epoch, top, first kept, bytes, oldest, newest; nothing when there is no history, or it is over.
-- An epoch that began under another replication id may lack what was acknowledged: it is over too, unless it survives.
local function standing(room, now, survives, replid)
  local found = redis.call('HMGET', T .. 'm:' .. room, 'e', 's', 'r', 'f', 'y', 'o', 'l')
  if not found[1] or (survives ~= '1' and found[3] ~= replid) then
    return nil
  end
  local ends = redis.call('ZSCORE', T .. 'hz', room)
  if ends and tonumber(ends) <= now then
    return nil
  end
  return {
    epoch = found[1],
    top = tonumber(found[2]),
    first = tonumber(found[4]),
    bytes = tonumber(found[5]),
    oldest = tonumber(found[6]),
    newest = tonumber(found[7]),
  }
end

-- Histories that were used least recently go whole until the tenant's bounds hold; never the one of `spared`.
local function evict(most, most_bytes, bytes, spared, epoch, replid)
  local evicted = 0
  while redis.call('ZCARD', T .. 'hx') > 1 and (redis.call('ZCARD', T .. 'hx') > most or bytes > most_bytes) do
    local oldest = redis.call('ZRANGE', T .. 'hx', 0, 1)
    local room = oldest[1] == spared and oldest[2] or oldest[1]
    evicted = evicted + 1
    forget(room, epoch .. '.' .. evicted, replid)
    bytes = tonumber(redis.call('GET', T .. 'hb') or '0')
  end
  if evicted > 0 then
    redis.call('INCRBY', T .. 'he', evicted)
  end
end

-- A room begins, as this epoch. Whoever begins it is about to listen; if nothing comes of that, nothing stays.
local function begin(room, epoch, replid, ttl)
  local m = T .. 'm:' .. room
  redis.call('HSET', m, 'e', epoch, 's', '0', 'r', replid, 'f', '1', 'y', '0', 'o', '0', 'l', '0', 'w', ttl)
  if listeners(room) == 0 then
    redis.call('PEXPIRE', m, 60000)
  end
end

-- What a node did last in a room, by its number, so that it does nothing when asked again: whoever asks has one such call
-- under way, and may find a connection again only after an hour. The number of what it did last comes behind.
local function done_before(node, room, number_of_it)
  local found = redis.call('GET', T .. 'b:' .. node .. ':' .. room)
  local last = found and string.match(found, '^%d+')
  if last ~= number_of_it then
    return nil, last
  end
  local top, offsets, epoch = string.match(found, '^%d+ (%d+) ([%d,]*) (.*)$')
  return {epoch, top, offsets}, last
end

-- What a turn is told without being done: the first answer when it is asked again, that its node may write no more, that
-- a later one was published. Nothing: it is to be done.
local function told_at_once(node, room, number_of_it)
  local before, last = done_before(node, room, number_of_it)
  if before then
    return {'OK', before[1], before[2], before[3]}
  end
  if fenced(node) then
    return {'FENCED'}
  end
  if last and tonumber(last) > tonumber(number_of_it) then
    return redis.error_reply('STALE a later turn of this room was published')
  end
end

local function done_now(node, room, number_of_it, epoch, top, offsets)
  local done = number_of_it .. ' ' .. top .. ' ' .. offsets .. ' ' .. epoch
  redis.call('SET', T .. 'b:' .. node .. ':' .. room, done, 'PX', 3600000)
end

-- This incarnation has members in a room: its history does not end.
local function enter(node, room)
  redis.call('SADD', T .. 'nr:' .. node, room)
  if redis.call('SADD', T .. 'rn:' .. room, node) == 1 then
    redis.call('ZREM', T .. 'hz', room)
    redis.call('PERSIST', T .. 'm:' .. room)
    tell(room, {'N', number(listeners(room))})
  end
end

-- It has none any more. Where nobody has, what the room remembers has a time to live from now on, and its values are gone.
local function exit(node, room, now)
  redis.call('SREM', T .. 'nr:' .. node, room)
  if redis.call('SREM', T .. 'rn:' .. room, node) == 0 then
    return
  end
  local m, left = T .. 'm:' .. room, listeners(room)
  if left > 0 then
    tell(room, {'N', number(left)})
    return
  end
  local bytes_of_values = redis.call('HGET', T .. 'v:' .. room, '')
  if bytes_of_values then
    redis.call('UNLINK', T .. 'v:' .. room)
    redis.call('DECRBY', T .. 'vb', bytes_of_values)
  end
  if redis.call('ZSCORE', T .. 'hx', room) then
    redis.call('ZADD', T .. 'hz', now + (redis.call('HGET', m, 'w') or 0), room)
  else
    redis.call('DEL', m)
  end
end

-- A session is present in a room, with this entry; `key` is its user and sid joined.
local function put_entry(node, room, key, entry)
  local p = T .. 'p:' .. room
  local before = redis.call('HGET', p, key)
  local came, whose, was
  if before then
    came, whose, was = string.match(before, '^(%d+) (%d+) (.*)$')
    if whose ~= node then
      redis.call('SREM', T .. 'np:' .. whose, joined(room, key))
    elseif was == entry then
      return
    end
  end
  redis.call('SADD', T .. 'np:' .. node, joined(room, key))
  if was == entry then
    redis.call('HSET', p, key, came .. ' ' .. node .. ' ' .. entry)
    return
  end
  local version = number(redis.call('HINCRBY', p, '', 1))
  redis.call('HSET', p, key, (came or version) .. ' ' .. node .. ' ' .. entry)
  local user, sid = parted(key)
  tell(room, {'P', version, user, sid, entry})
end

-- It is present no more, as far as this node is concerned: where it is on another one, that one's word counts.
local function remove_entry(node, room, key)
  local p = T .. 'p:' .. room
  redis.call('SREM', T .. 'np:' .. node, joined(room, key))
  local before = redis.call('HGET', p, key)
  if not before or string.match(before, '^%d+ (%d+) ') ~= node then
    return
  end
  redis.call('HDEL', p, key)
  local version = '0'
  if redis.call('HLEN', p) == 1 then
    redis.call('DEL', p)
  else
    version = number(redis.call('HINCRBY', p, '', 1))
  end
  local user, sid = parted(key)
  tell(room, {'P', version, user, sid, ''})
end

