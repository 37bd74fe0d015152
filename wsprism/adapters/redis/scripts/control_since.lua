#!lua flags=no-writes
-- What every node is to have heard behind an offset, up to 500 entries.
--   offset
-- the last offset of all; then offset and fields of each
local answer = {redis.call('GET', T .. 'cs') or '0'}
for _, entry in ipairs(redis.call('XRANGE', T .. 'ctl', '(' .. ARGV[1] .. '-0', '+', 'COUNT', 500)) do
  answer[#answer + 1] = string.match(entry[1], '^%d+')
  answer[#answer + 1] = entry[2][2]
end
return answer
