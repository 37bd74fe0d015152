#!lua flags=no-writes
-- The nodes that have said what they are. Not a tenant's.
-- incarnation, ms since it said so, and what it said, of each
local now, answer = now_ms(), {}
for _, node in ipairs(redis.call('ZRANGE', T .. 'nodes', 0, -1)) do
  answer[#answer + 1] = node
  answer[#answer + 1] = number(now - redis.call('ZSCORE', T .. 'nodes', node))
  answer[#answer + 1] = redis.call('HGET', T .. 'about', node) or ''
end
return answer
