#!lua flags=allow-oom
-- A node ends, and says so. Not a tenant's.
--   incarnation
-- OK
redis.call('ZREM', T .. 'nodes', ARGV[1])
redis.call('HDEL', T .. 'about', ARGV[1])
return {'OK'}
