#!lua flags=no-writes
-- What services keep of a room: of all, of one, or only one key.
--   room, service ('': all), key ('': all)
-- OK, then of each service 's', name, version; of each key 'k', service, key, version, user, data
local v, service, key = T .. 'v:' .. ARGV[1], ARGV[2], ARGV[3]
local found
if key == '' then
  found = redis.call('HGETALL', v)
else
  local fields = {'s' .. service, 'k' .. joined(service, key)}
  local values = redis.call('HMGET', v, fields[1], fields[2])
  found = {fields[1], values[1], fields[2], values[2]}
end
local answer = {'OK'}
local function say(...)
  for _, word in ipairs({...}) do
    answer[#answer + 1] = word
  end
end
for i = 1, #found, 2 do
  local what, name, known = string.sub(found[i], 1, 1), string.sub(found[i], 2), found[i + 1]
  if known and what == 's' and (service == '' or service == name) then
    say('s', name, number(cmsgpack.unpack(known)[1]))
  elseif known and what == 'k' then
    local of, its_key = parted(name)
    if service == '' or service == of then
      local version, user, data = unpack(cmsgpack.unpack(known))
      say('k', of, its_key, number(version), user, data)
    end
  end
end
return answer
