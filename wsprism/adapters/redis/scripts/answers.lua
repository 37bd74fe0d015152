#!lua flags=no-writes
-- What has become of nodes whose answers are awaited.
--   who asked: incarnation, number; then the incarnations
-- OK, then of each that waits no more: incarnation, body of its answer, or '' and 1 as the third word: it may write no more
local an, answer = T .. 'an:' .. ARGV[1] .. ':' .. ARGV[2], {'OK'}
for i = 3, #ARGV do
  local body = redis.call('HGET', an, ARGV[i])
  if body or fenced(ARGV[i]) then
    answer[#answer + 1] = ARGV[i]
    answer[#answer + 1] = body or ''
    answer[#answer + 1] = body and 0 or 1
  end
end
return answer
