#!lua flags=allow-oom
-- A node listens to a room no more.
--   incarnation, room
exit(ARGV[1], ARGV[2], now_ms())
return {'OK'}
