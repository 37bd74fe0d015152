#!lua flags=allow-oom
-- with members
-- Clean up after a node whose lease is over, or that has gone: a slice of it, each entry once. From the first slice on it
-- may write no more. What it held is lost as if its sessions had been.
--   incarnation, most entries, gone (1: it says so itself, whatever its lease), whether it is to be told who is lost
-- LIVES | OK, entries, whether it was the last slice; then of each session that left a room or is gone, where that is told:
--   user, sid, generation, what else is known of it, room, users and sessions left there
--   user, sid, generation, what else is known of it, how long it was there in ms, sessions that its user has left
local node, most, leases, now = ARGV[1], tonumber(ARGV[2]), T .. 'leases', now_ms()
local held = redis.call('ZSCORE', leases, node)
if not held then
  return {'OK', 0, 1}
end
if tonumber(held) > now and ARGV[3] ~= '1' then
  return {'LIVES'}
end
redis.call('ZADD', leases, 0, node)
local done, answer = 0, {'OK', 0, 0}

local function lost(key, session, ...)
  if ARGV[4] == '1' then
    local user, sid = parted(key)
    answer[#answer + 1] = {user, sid, session.generation, session.about, ...}
  end
end

while done < most do
  local key = redis.call('SRANDMEMBER', T .. 'n:' .. node)
  if not key then
    break
  end
  local session = session_of(key)
  if not session or session.node ~= node then
    redis.call('SREM', T .. 'n:' .. node, key)
    done = done + 1
  else
    local rooms, gone = remove(key, session, most - done, function(room)
      lost(key, session, room, redis.call('HLEN', T .. 'u:' .. room), redis.call('HLEN', T .. 'r:' .. room))
    end)
    if gone then
      lost(key, session, number(now - session.opened), redis.call('ZCARD', T .. 'us:' .. parted(key)))
    end
    done = done + rooms + (gone and 1 or 0)
  end
end
while done < most do
  local entry = redis.call('SRANDMEMBER', T .. 'np:' .. node)
  if not entry then
    break
  end
  local room, key = parted(entry)
  remove_entry(node, room, key)
  done = done + 1
end
while done < most do
  local room = redis.call('SRANDMEMBER', T .. 'nr:' .. node)
  if not room then
    break
  end
  exit(node, room, now)
  done = done + 1
end
answer[2] = done
if done < most then
  redis.call('ZREM', leases, node)
  answer[3] = 1
end
return answer
