#!lua
-- An idempotency key: the answer that was given to it, or the word that somebody is at it; else it is the caller's.
--   key, digest of what is asked, for so long while it is under way in ms
-- MINE | UNDERWAY, digest | DONE, digest, answer
local a = T .. 'a:' .. ARGV[1]
local found = redis.call('HMGET', a, 'd', 'a')
if not found[1] then
  redis.call('HSET', a, 'd', ARGV[2])
  redis.call('PEXPIRE', a, ARGV[3])
  return {'MINE'}
end
if not found[2] then
  return {'UNDERWAY', found[1]}
end
return {'DONE', found[1], found[2]}
