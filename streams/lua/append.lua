-- Appends events to a user's log. Atomic: every refusal comes before the first write.
--
-- KEYS: log, fences, sizes, then for each event its chat's index (chat: or live:) and the hash of the
--       event ids stored there (ids, or the chat's part ids)
-- ARGV: fence name ('' = none), fence token, wake channel, overhead in bytes of an entry of the log, of
--       an entry of an index and of a known id, then six for each event:
--       event id, chat, type, data, group ('' = not a part), whole ('' = the index stores data)
-- Returns the entry id of each event. An event id that was appended before is not appended again;
-- the id of its first entry is returned.
--
-- Nothing here reads a clock. The ids of parts are removed with the parts (compact.lua), when every
-- writer that could repeat them has its acknowledgement. PERSIST cancels the expiry that
-- compact.lua sets.
local log, fences, sizes = KEYS[1], KEYS[2], KEYS[3]

if ARGV[1] ~= '' then
  local token = redis.call('HGET', fences, ARGV[1])
  if token ~= ARGV[2] then
    return redis.error_reply('FENCED ' .. (token or '0'))
  end
end

local entries, first, last, kept = {}, nil, nil, nil
local grown, total = {}, 0
local function count(field, bytes)
  grown[field] = (grown[field] or 0) + bytes
  total = total + bytes
end

for i = 4, #KEYS, 2 do
  local a = 7 + (i - 4) * 3
  local index, ids = KEYS[i], KEYS[i + 1]
  local id, chat, kind, data, group, whole =
    ARGV[a], ARGV[a + 1], ARGV[a + 2], ARGV[a + 3], ARGV[a + 4], ARGV[a + 5]
  local entry = redis.call('HGET', ids, id)
  if not entry then
    if group == '' then
      entry = redis.call('XADD', log, '*', 'c', chat, 't', kind, 'd', data)
      if whole == '' then whole = data end
      redis.call('XADD', index, entry, 't', kind, 'd', whole)
      count('i:' .. chat, #whole + ARGV[5])
      total = total + ARGV[6]
    else
      entry = redis.call('XADD', log, '*', 'c', chat, 't', kind, 'd', data, 'p', '')
      redis.call('XADD', index, entry, 't', kind, 'd', data, 'p', group)
      if kept ~= ids then
        redis.call('PERSIST', ids)
        kept = ids
      end
    end
    count('l:' .. chat, #data + ARGV[4])
    redis.call('HSET', ids, id, entry)
    first, last = first or entry, entry
  end
  entries[#entries + 1] = entry
end

if not last then
  return entries
end

for field, bytes in pairs(grown) do
  redis.call('HINCRBY', sizes, field, bytes)
end
if redis.call('HINCRBY', sizes, 'total', total) == total then
  -- The first count of this log. count.lua counts later what an earlier release appended.
  local older = redis.call('XREVRANGE', log, '(' .. first, '-', 'COUNT', '1')[1]
  if older then
    redis.call('HSET', sizes, 'until', older[1])
  end
end

-- Redis sends the wake-up only after the entries are safe: with appendfsync always, replies and
-- pub/sub messages wait in output buffers until beforeSleep has written and synced the AOF.
redis.call('PUBLISH', ARGV[3], last)
return entries
