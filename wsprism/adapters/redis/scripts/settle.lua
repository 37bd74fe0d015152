#!lua flags=allow-oom
-- The end of what an idempotency key was claimed for: the answer that is remembered, or none, and it may be tried again.
--   key, digest, answer ('': none), for so long in ms
-- whether it was still the caller's
local a = T .. 'a:' .. ARGV[1]
local found = redis.call('HMGET', a, 'd', 'a')
if found[2] or (found[1] and found[1] ~= ARGV[2]) then
  return 0
end
if ARGV[3] == '' then
  redis.call('DEL', a)
else
  redis.call('HSET', a, 'd', ARGV[2], 'a', ARGV[3])
  redis.call('PEXPIRE', a, ARGV[4])
end
return 1
