#!lua flags=allow-oom
-- with members
-- Something that every node is to hear, in the one order of what they are told.
--   fields
-- its offset
control(ARGV)
return redis.call('GET', T .. 'cs')
