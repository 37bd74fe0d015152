#!lua flags=allow-oom
-- with members
-- Something that every node is to hear, in the one order of what they are told. Asked again with the same number of the
-- same incarnation it is not told again.
--   incarnation, number, body
-- FENCED | OK
local done = T .. 'o:' .. ARGV[1] .. ':' .. ARGV[2]
if redis.call('EXISTS', done) == 1 then
  return {'OK'}
end
if fenced(ARGV[1]) then
  return {'FENCED'}
end
control({'tell', ARGV[3]})
redis.call('SET', done, '', 'PX', 60000)
return {'OK'}
