#!lua flags=allow-oom
-- with members
-- A node says who is locked out as far as it knows, to a Redis that may have lost it. The longer of two revocations stays;
-- one that was lifted later than it was said stays lifted. Whoever of these got in meanwhile is ended.
--   incarnation, most of them, then what, name, until in ms, reason, when it was said in ms, of each
-- FENCED | OK, how many were not in force, or not for so long; how many have no room
if fenced(ARGV[1]) then
  return {'FENCED'}
end
local now, most = now_ms(), tonumber(ARGV[2])
local restored, without_room = 0, 0
forget_revocations(now)
for i = 3, #ARGV, 5 do
  local name, ends = ARGV[i] .. ':' .. ARGV[i + 1], tonumber(ARGV[i + 2])
  local before, lifted = redis.call('ZSCORE', T .. 'rev', name), redis.call('GET', T .. 'lifted:' .. name)
  local counts = ends > now and not (lifted and tonumber(lifted) >= tonumber(ARGV[i + 4]))
  if counts and not (before and tonumber(before) >= ends) then
    if not before and redis.call('ZCARD', T .. 'rev') >= most then
      without_room = without_room + 1
    else
      lock_out(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4])
      restored = restored + 1
    end
  end
end
return {'OK', restored, without_room}
