#!lua flags=no-writes
-- Some who are present in a room: all of them, one call after the other.
--   room, cursor ('': from the beginning)
-- OK, cursor ('': that was all), version; then number, user, sid and entry of each: by number is the order in which they came
local p = T .. 'p:' .. ARGV[1]
local found = redis.call('HSCAN', p, ARGV[2] == '' and '0' or ARGV[2], 'COUNT', 400)
local answer = {'OK', found[1] == '0' and '' or found[1], redis.call('HGET', p, '') or '0'}
for i = 1, #found[2], 2 do
  local key = found[2][i]
  if key ~= '' then
    local user, sid = parted(key)
    local came, entry = string.match(found[2][i + 1], '^(%d+) %d+ (.*)$')
    for _, word in ipairs({came, user, sid, entry}) do
      answer[#answer + 1] = word
    end
  end
end
return answer
