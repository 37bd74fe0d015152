#!lua flags=allow-oom
-- Sessions of a node are present in a room, or no more, in their order.
--   incarnation, room; then user, sid and entry ('': gone) of each
-- FENCED | OK
local node, room = ARGV[1], ARGV[2]
if fenced(node) then
  return {'FENCED'}
end
for i = 3, #ARGV, 3 do
  local key = joined(ARGV[i], ARGV[i + 1])
  if ARGV[i + 2] == '' then
    remove_entry(node, room, key)
  else
    put_entry(node, room, key, ARGV[i + 2])
  end
end
return {'OK'}
