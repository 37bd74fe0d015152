#!lua flags=no-writes
-- with members
-- Which sessions are counted no more, of those that a node has.
--   then user, sid and generation of each
-- the places, from 0, of those that are gone
local gone = {}
for i = 1, #ARGV, 3 do
  local session = session_of(joined(ARGV[i], ARGV[i + 1]))
  if not session or session.generation ~= ARGV[i + 2] then
    gone[#gone + 1] = (i - 1) / 3
  end
end
return gone
