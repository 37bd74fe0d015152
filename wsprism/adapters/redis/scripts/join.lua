#!lua
-- with members
-- A session joins a room within the limits; check and change are one step. Joining again adds nothing.
--   incarnation, user, sid, generation, room, max_rooms_total, max_users_per_room, max_rooms_per_user
-- FENCED | GONE | DENIED, reason | OK, whether it was in already, whether it opened the room, users, sessions
local node, user, sid, generation, room = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local rooms_total, users_per_room, rooms_per_user = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
if fenced(node) then
  return {'FENCED'}
end
local key = joined(user, sid)
local session = session_of(key)
if not session or session.generation ~= generation or session.node ~= node then
  return {'GONE'}
end
local r, u, ur, rooms = T .. 'r:' .. room, T .. 'u:' .. room, T .. 'ur:' .. user, T .. 'rooms'

local function answer(already, opened)
  return {'OK', already, opened, redis.call('HLEN', u), redis.call('HLEN', r)}
end

if redis.call('HEXISTS', r, key) == 1 then
  return answer(1, 0)
end
local opens = redis.call('HEXISTS', rooms, room) == 0
if redis.call('HEXISTS', u, user) == 0 then
  if opens and rooms_total > 0 and redis.call('HLEN', rooms) >= rooms_total then
    return {'DENIED', 'too_many_rooms'}
  end
  if users_per_room > 0 and redis.call('HLEN', u) >= users_per_room then
    return {'DENIED', 'room_full'}
  end
  if rooms_per_user > 0 and redis.call('HLEN', ur) >= rooms_per_user then
    return {'DENIED', 'too_many_rooms_per_user'}
  end
end
redis.call('HSET', r, key, node)
redis.call('HINCRBY', u, user, 1)
redis.call('HINCRBY', ur, room, 1)
redis.call('HINCRBY', rooms, room, 1)
redis.call('SADD', T .. 'sr:' .. key, room)
if opens then
  redis.call('ZADD', T .. 'ro', redis.call('INCR', T .. 'rc'), room)
end
return answer(0, opens and 1 or 0)
