#!lua flags=allow-oom
-- with members
-- End these sessions: counted no more, and the nodes that have them are told how. One that was replaced since is another.
-- Asked again with the same number of the same incarnation it gives the first answer, and does nothing.
--   incarnation, number, close code, reason; then user, sid and generation of each
-- FENCED | OK, how many it were, then the incarnations of the nodes that had them
local done = T .. 'o:' .. ARGV[1] .. ':' .. ARGV[2]
local before = redis.call('GET', done)
if before then
  return cmsgpack.unpack(before)
end
if fenced(ARGV[1]) then
  return {'FENCED'}
end
local answer, nodes = {'OK', 0}, {}
for i = 5, #ARGV, 3 do
  local user, sid, generation = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local key = joined(user, sid)
  local session = session_of(key)
  if session and session.generation == generation then
    remove(key, session, 1000000)
    control({'end', session.node, user, sid, generation, ARGV[3], ARGV[4]})
    answer[2] = answer[2] + 1
    if not nodes[session.node] then
      nodes[session.node] = true
      answer[#answer + 1] = session.node
    end
  end
end
redis.call('SET', done, cmsgpack.pack(answer), 'PX', 60000)
return answer
