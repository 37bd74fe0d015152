#!lua flags=allow-oom
-- with members
-- Take these sessions out of a room; the nodes that have them are told. One that was replaced since is another.
-- Once for its number.
--   incarnation, number, room; then user, sid and generation of each
-- FENCED | OK, how many were in it, then the incarnations of the nodes that had them
local room = ARGV[3]
return once(ARGV[1], ARGV[2], function()
  return of_listed(4, function(session, user, sid)
    if leave(joined(user, sid), user, room) == nil then
      return false
    end
    control({'out', session.node, user, sid, session.generation, room})
    return true
  end)
end)
