#!lua flags=allow-oom
-- A node listens to rooms from now on; it has subscribed to their channels.
--   incarnation, then rooms
-- FENCED | OK, and of each how many nodes listen
local node = ARGV[1]
if fenced(node) then
  return {'FENCED'}
end
local answer = {'OK'}
for i = 2, #ARGV do
  enter(node, ARGV[i])
  answer[i] = listeners(ARGV[i])
end
return answer
