#!lua flags=allow-oom
-- with members
-- Something that every node is to hear, in the one order of what they are told. Once for its number.
--   incarnation, number, body, who is to answer: '*', '-' (nobody), or incarnations between blanks
-- FENCED | OK, then the incarnations of all nodes that may write
return once(ARGV[1], ARGV[2], function()
  control({'ask', ARGV[1], ARGV[2], ARGV[4], ARGV[3]})
  local answer = {'OK'}
  local leases = redis.call('ZRANGE', T .. 'leases', 0, -1, 'WITHSCORES')
  for i = 1, #leases, 2 do
    if leases[i + 1] ~= '0' then
      answer[#answer + 1] = leases[i]
    end
  end
  return answer
end)
