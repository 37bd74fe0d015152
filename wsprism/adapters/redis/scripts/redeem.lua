#!lua flags=allow-oom
-- Take a one-time ticket, so that nobody else can.
--   hash
-- whom it stands for; nil: it is none
local whom = redis.call('GET', T .. 't:' .. ARGV[1])
redis.call('DEL', T .. 't:' .. ARGV[1])
redis.call('ZREM', T .. 'tk', ARGV[1])
return whom
