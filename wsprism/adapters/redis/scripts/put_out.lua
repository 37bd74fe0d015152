#!lua flags=allow-oom
-- with members
-- Take these sessions out of a room; the nodes that have them are told. One that was replaced since is another.
-- Asked again with the same number of the same incarnation it gives the first answer, and does nothing.
--   incarnation, number, room; then user, sid and generation of each
-- FENCED | OK, how many were in it, then the incarnations of the nodes that had them
local done, room = T .. 'o:' .. ARGV[1] .. ':' .. ARGV[2], ARGV[3]
local before = redis.call('GET', done)
if before then
  return cmsgpack.unpack(before)
end
if fenced(ARGV[1]) then
  return {'FENCED'}
end
local answer, nodes = {'OK', 0}, {}
for i = 4, #ARGV, 3 do
  local user, sid, generation = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local key = joined(user, sid)
  local session = session_of(key)
  if session and session.generation == generation and leave(key, user, room) ~= nil then
    control({'out', session.node, user, sid, generation, room})
    answer[2] = answer[2] + 1
    if not nodes[session.node] then
      nodes[session.node] = true
      answer[#answer + 1] = session.node
    end
  end
end
redis.call('SET', done, cmsgpack.pack(answer), 'PX', 60000)
return answer
