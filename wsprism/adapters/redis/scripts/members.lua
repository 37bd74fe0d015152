-- Sessions, and who is in which room, for the scripts that say `-- with members`. `key` is a user and sid joined.
--   s        hash: key -> incarnation, generation, opened ms, ticket id, what else is known of it (MessagePack)
--   so       sorted set: key by generation     bs:<sid>, bt:<ticket id>  sets: keys of the sessions that have it
--   us:<user> sorted set: sid by generation     ur:<user> hash: room -> the user's sessions in it
--   sr:<key> set: a session's rooms             n:<incarnation> set: keys of its sessions
--   r:<room> hash: key -> incarnation           u:<room> hash: user -> sessions    rooms  hash: room -> sessions in it
--   ro       sorted set: rooms by when they were opened                            gen  the counter of generations
--   ctl      stream and channel: what every node is to hear; cs its last offset, cb the bytes in it
--            an:<incarnation>:<number> hash: incarnation -> its answer to what was asked there
--     C offset, entry    A incarnation and number that asked, incarnation, answer    V body: to be heard, and not kept
-- Bounded in entries and in bytes: who has missed more than that looks for itself.
local function control(fields)
  local ctl, at, body = T .. 'ctl', number(redis.call('INCR', T .. 'cs')), framed(fields)
  redis.call('XADD', ctl, at .. '-0', 'd', body)
  local bytes = redis.call('INCRBY', T .. 'cb', #body)
  local entries = redis.call('XLEN', ctl)
  while entries > 1 and (entries > 10000 or bytes > 8388608) do
    for _, oldest in ipairs(redis.call('XRANGE', ctl, '-', '+', 'COUNT', math.min(100, entries - 1))) do
      if entries <= 9900 and bytes <= 8388608 then
        break
      end
      redis.call('XDEL', ctl, oldest[1])
      bytes = redis.call('DECRBY', T .. 'cb', #oldest[2][2])
      entries = entries - 1
    end
  end
  redis.call('SPUBLISH', ctl, framed({'C', at, body}))
end

local function one_less(key, field)
  if redis.call('HINCRBY', key, field, -1) > 0 then
    return false
  end
  redis.call('HDEL', key, field)
  return true
end

local function session_of(key)
  local found = redis.call('HGET', T .. 's', key)
  if not found then
    return nil
  end
  local node, generation, opened, token, about = unpack(cmsgpack.unpack(found))
  return {node = node, generation = generation, opened = opened, token = token, about = about}
end

-- Take a session out of a room; whether it was the last one there. Nothing: it was not in it.
local function leave(key, user, room)
  if redis.call('HDEL', T .. 'r:' .. room, key) == 0 then
    return nil
  end
  redis.call('SREM', T .. 'sr:' .. key, room)
  one_less(T .. 'u:' .. room, user)
  one_less(T .. 'ur:' .. user, room)
  local closed = one_less(T .. 'rooms', room)
  if closed then
    redis.call('ZREM', T .. 'ro', room)
  end
  return closed
end

-- Take a session out of everything: up to `most` of its rooms. How many it was in, and whether it is gone. `has_left` is told
-- of each room.
local function remove(key, session, most, has_left)
  local user, sid = parted(key)
  local rooms = redis.call('SRANDMEMBER', T .. 'sr:' .. key, most)
  for _, room in ipairs(rooms) do
    leave(key, user, room)
    if has_left then
      has_left(room)
    end
  end
  if redis.call('EXISTS', T .. 'sr:' .. key) == 1 then
    return #rooms, false
  end
  redis.call('HDEL', T .. 's', key)
  redis.call('ZREM', T .. 'so', key)
  redis.call('ZREM', T .. 'us:' .. user, sid)
  redis.call('SREM', T .. 'bs:' .. sid, key)
  if session.token ~= '' then
    redis.call('SREM', T .. 'bt:' .. session.token, key)
  end
  redis.call('SREM', T .. 'n:' .. session.node, key)
  return #rooms, true
end


-- Who is locked out; a name is `user:`, `sid:` or `token_id:` and whose it is.
--   rev      sorted set: name by the end in ms    revo  sorted set: name by the number of the word on it; rc the last one
--   revr     hash: name -> reason                 lifted:<name>  when it was let in again, for a day at most
local function forget_revocation(name)
  redis.call('ZREM', T .. 'rev', name)
  redis.call('ZREM', T .. 'revo', name)
  redis.call('HDEL', T .. 'revr', name)
end

-- Those that are over, some of them.
local function forget_revocations(now)
  for _, over in ipairs(redis.call('ZRANGEBYSCORE', T .. 'rev', '-inf', now, 'LIMIT', 0, 1000)) do
    forget_revocation(over)
  end
end

-- Nobody of that name opens a session until then, and those that are there are ended: how many, and the incarnations that
-- had them. Every node is told.
local function lock_out(what, whose, ends, reason, said)
  local name = what .. ':' .. whose
  redis.call('ZADD', T .. 'rev', ends, name)
  redis.call('ZADD', T .. 'revo', redis.call('INCR', T .. 'rc'), name)
  redis.call('HSET', T .. 'revr', name, reason)
  redis.call('DEL', T .. 'lifted:' .. name)
  local keys
  if what == 'user' then
    keys = redis.call('ZRANGE', T .. 'us:' .. whose, 0, -1)
    for at, sid in ipairs(keys) do
      keys[at] = joined(whose, sid)
    end
  else
    keys = redis.call('SMEMBERS', T .. (what == 'sid' and 'bs:' or 'bt:') .. whose)
  end
  local ended, nodes = 0, {}
  for _, key in ipairs(keys) do
    local session = session_of(key)
    if session then
      remove(key, session, 1000000)
      ended = ended + 1
      if not nodes[session.node] then
        nodes[session.node] = true
        nodes[#nodes + 1] = session.node
      end
    end
  end
  control({'revoke', what, whose, ends, reason, said})
  return ended, nodes
end

-- What `work` answers, done once: asked again with the same number of the same incarnation it gives the first answer, and
-- does nothing. FENCED where the node may write no more.
local function once(node, asked, work)
  local done = T .. 'o:' .. node .. ':' .. asked
  local before = redis.call('GET', done)
  if before then
    return cmsgpack.unpack(before)
  end
  if fenced(node) then
    return {'FENCED'}
  end
  local answer = work()
  redis.call('SET', done, cmsgpack.pack(answer), 'PX', 60000)
  return answer
end

-- Each session that is listed from ARGV[first] on as user, sid and generation, and was not replaced since: how many of them
-- `take` took, then the incarnations of the nodes that have those.
local function of_listed(first, take)
  local answer, nodes = {'OK', 0}, {}
  for i = first, #ARGV, 3 do
    local user, sid, generation = ARGV[i], ARGV[i + 1], ARGV[i + 2]
    local session = session_of(joined(user, sid))
    if session and session.generation == generation and take(session, user, sid) then
      answer[2] = answer[2] + 1
      if not nodes[session.node] then
        nodes[session.node] = true
        answer[#answer + 1] = session.node
      end
    end
  end
  return answer
end
