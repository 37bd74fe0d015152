#!lua
-- An idempotency key: the answer that was given to it, or the word that somebody is at it; else it is the caller's, as it
-- is when asked again with the same number of the same incarnation. Whoever was at it and may write no more is not.
--   a:<key> hash: d digest of what was asked, c who is at it, a answer
--   incarnation, number, key, digest of what is asked, for so long while it is under way in ms
-- FENCED | OK, mine | OK, under way, digest | OK, done, digest, answer
local a, me = T .. 'a:' .. ARGV[3], ARGV[1] .. ':' .. ARGV[2]
if fenced(ARGV[1]) then
  return {'FENCED'}
end
local found = redis.call('HMGET', a, 'd', 'c', 'a')
if found[3] then
  return {'OK', 'done', found[1], found[3]}
end
if found[1] and found[2] ~= me and not fenced(string.match(found[2], '^%d+')) then
  return {'OK', 'under way', found[1]}
end
redis.call('HSET', a, 'd', ARGV[4], 'c', me)
redis.call('PEXPIRE', a, ARGV[5])
return {'OK', 'mine'}
