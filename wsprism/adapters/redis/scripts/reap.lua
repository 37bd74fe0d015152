#!lua flags=allow-oom
-- with members
-- Clean up after a node whose lease is over, or that has gone: a slice of it, each entry once. From the first slice on it
-- may write no more. What it held is lost as if its sessions had been.
--   incarnation, most entries, gone (1: it says so itself, whatever its lease)
-- LIVES | OK, entries, whether it was the last slice
local node, most, leases, now = ARGV[1], tonumber(ARGV[2]), T .. 'leases', now_ms()
local held = redis.call('ZSCORE', leases, node)
if not held then
  return {'OK', 0, 1}
end
if tonumber(held) > now and ARGV[3] ~= '1' then
  return {'LIVES'}
end
redis.call('ZADD', leases, 0, node)
local done = 0
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
    local rooms, gone = remove(key, session, most - done)
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
if done < most then
  redis.call('ZREM', leases, node)
  return {'OK', done, 1}
end
return {'OK', done, 0}
