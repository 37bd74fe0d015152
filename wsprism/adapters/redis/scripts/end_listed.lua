#!lua flags=allow-oom
-- with members
-- End these sessions: counted no more, and the nodes that have them are told how. One that was replaced since is another.
-- Once for its number.
--   incarnation, number, close code, reason; then user, sid and generation of each
-- FENCED | OK, how many it were, then the incarnations of the nodes that had them
return once(ARGV[1], ARGV[2], function()
  return of_listed(5, function(session, user, sid)
    remove(joined(user, sid), session, 1000000)
    control({'end', session.node, user, sid, session.generation, ARGV[3], ARGV[4]})
    return true
  end)
end)
