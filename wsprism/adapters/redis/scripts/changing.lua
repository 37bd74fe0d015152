-- Stands before a turn that is a change of a value: it is judged and carried out, and then published with its version.
--   v:<room> hash: '' -> bytes of all; 's' and service -> version, keys, bytes (MessagePack);
--            'k', service and key joined -> version, user, data (MessagePack). It goes with the last node that listens
--   vb       their bytes, of all rooms together
--   behind the arguments of the turn, whose body is not framed: service, key, user, data ('': delete),
--   version that the key is to have ('': any), keys at most, bytes at most, bytes of all rooms together at most
-- GONE: the node has no members there | DENIED, version and which | unset | keys | bytes | together: nothing has changed
do
  local node, batch, room, last_of_turn = ARGV[1], ARGV[2], ARGV[3], #ARGV - 8
  local service, key, user, data, expected = unpack(ARGV, last_of_turn + 1, last_of_turn + 5)
  local most_keys, most_bytes, most_together = unpack(ARGV, last_of_turn + 6)
  for i = #ARGV, last_of_turn + 1, -1 do
    ARGV[i] = nil
  end
  if not told_at_once(node, room, batch) then
    if redis.call('SISMEMBER', T .. 'rn:' .. room, node) == 0 then
      return {'GONE'}
    end
    local v, s, k = T .. 'v:' .. room, 's' .. service, 'k' .. joined(service, key)
    local found = redis.call('HMGET', v, s, k)
    local version, keys, bytes, has, had = 0, 0, 0, 0, 0
    if found[1] then
      version, keys, bytes = unpack(cmsgpack.unpack(found[1]))
    end
    if found[2] then
      local at, by, what = unpack(cmsgpack.unpack(found[2]))
      has, had = at, #key + #by + #what + 64
    end
    if expected ~= '' and tonumber(expected) ~= has then
      return {'DENIED', 'version ' .. number(has)}
    end
    local more = (data == '' and 0 or #key + #user + #data + 64) - had
    if data == '' then
      if has == 0 then
        return {'DENIED', 'unset'}
      end
      keys = keys - 1
    elseif has == 0 then
      if keys >= tonumber(most_keys) then
        return {'DENIED', 'keys'}
      end
      keys = keys + 1
    end
    if data ~= '' and bytes + more > tonumber(most_bytes) then
      return {'DENIED', 'bytes'}
    end
    if more > 0 and tonumber(redis.call('GET', T .. 'vb') or '0') + more > tonumber(most_together) then
      return {'DENIED', 'together'}
    end
    version = version + 1
    redis.call('HSET', v, s, cmsgpack.pack({version, keys, bytes + more}))
    if data == '' then
      redis.call('HDEL', v, k)
    else
      redis.call('HSET', v, k, cmsgpack.pack({version, user, data}))
    end
    redis.call('HINCRBY', v, '', number(more))
    redis.call('INCRBY', T .. 'vb', number(more))
    changed = ',' .. number(version)
    local body = ARGV[last_of_turn] .. cmsgpack.pack(version)
    ARGV[last_of_turn] = last_of_turn == 7 and framed({body}) or body
  end
end
