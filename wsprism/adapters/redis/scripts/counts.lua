#!lua flags=no-writes
-- How many are in a room, on all nodes.
--   room
-- OK, users, sessions
return {'OK', redis.call('HLEN', T .. 'u:' .. ARGV[1]), redis.call('HLEN', T .. 'r:' .. ARGV[1])}
