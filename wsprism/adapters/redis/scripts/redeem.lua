#!lua flags=allow-oom
-- Take a one-time ticket, so that nobody else can.
-- Asked again with the same number of the same incarnation it gives the first answer, and does nothing.
--   incarnation, number, hash
-- FENCED | OK, whom it stands for ('': it is none)
local done = T .. 'o:' .. ARGV[1] .. ':' .. ARGV[2]
local before = redis.call('GET', done)
if before then
  return {'OK', before}
end
if fenced(ARGV[1]) then
  return {'FENCED'}
end
local whom = redis.call('GET', T .. 't:' .. ARGV[3]) or ''
redis.call('DEL', T .. 't:' .. ARGV[3])
redis.call('ZREM', T .. 'tk', ARGV[3])
redis.call('SET', done, whom, 'PX', 60000)
return {'OK', whom}
