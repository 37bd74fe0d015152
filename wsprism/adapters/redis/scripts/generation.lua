#!lua flags=allow-oom
-- The number of a session that is to be opened: greater than that of every one before.
-- OK, the number
return {'OK', redis.call('INCR', T .. 'gen')}
