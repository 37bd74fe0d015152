#!lua flags=allow-oom
-- A node answers what all were asked. It is kept for a while, for who has missed it in the channel.
--   who asked: incarnation, number; who answers: incarnation; body
-- OK
local an = T .. 'an:' .. ARGV[1] .. ':' .. ARGV[2]
redis.call('HSET', an, ARGV[3], ARGV[4])
redis.call('PEXPIRE', an, 120000)
redis.call('SPUBLISH', T .. 'ctl', framed({'A', ARGV[1], ARGV[2], ARGV[3], ARGV[4]}))
return {'OK'}
