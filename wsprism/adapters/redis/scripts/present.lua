#!lua flags=no-writes
-- with members
-- Who is present in a room.
--   room
-- version; then user, sid, number and entry of each, in no order: by number is the order in which they came
local found = redis.call('HGETALL', T .. 'p:' .. ARGV[1])
local answer = {'0'}
for i = 1, #found, 2 do
  local key = found[i]
  if key == '' then
    answer[1] = found[i + 1]
  else
    local user, sid = parted(key)
    local came, entry = string.match(found[i + 1], '^(%d+) %d+ (.*)$')
    for _, word in ipairs({user, sid, came, entry}) do
      answer[#answer + 1] = word
    end
  end
end
return answer
