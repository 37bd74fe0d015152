#!lua flags=allow-oom
-- with members
-- A session that is in the room has another entry; or one that lingered there, or was in it, is present no more.
--   incarnation, user, sid, room, entry ('': gone)
-- whether anything was changed
local node, key, room, entry = ARGV[1], joined(ARGV[2], ARGV[3]), ARGV[4], ARGV[5]
if entry == '' then
  redis.call('SREM', T .. 'l:' .. node, joined(room, key))
  -- Who has come back meanwhile, here or elsewhere, is present.
  if redis.call('HEXISTS', T .. 'r:' .. room, key) == 1 then
    return 0
  end
  return absent(room, key) and 1 or 0
end
if redis.call('HGET', T .. 'r:' .. room, key) ~= node then
  return 0
end
present(room, key, node, entry)
return 1
