#!lua flags=allow-oom
-- Forget histories whose time is over, a slice of them.
--   limit, epoch to go on with
-- how many it were
local over = redis.call('ZRANGEBYSCORE', T .. 'hz', '-inf', now_ms(), 'LIMIT', 0, ARGV[1])
for at, room in ipairs(over) do
  forget(room, ARGV[2] .. '.' .. at, replication_id())
end
return #over
