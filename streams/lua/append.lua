-- Appends events to one user's log. All or nothing: every refusal comes before the first write.
--
-- KEYS: log, ids, parts:0, parts:1, fences, then for each event its chat's index (chat: or live:)
-- ARGV: fence name ('' = none), fence token, wake channel, window in ms, then six for each event:
--       event id, chat, type, data, group ('' = not a part), whole ('' = the index stores data)
-- Returns the entry id of each event. An event id that was appended before is not appended again;
-- the id of its first entry is returned.
--
-- Two hashes remember the ids of parts. They take turns by the clock, each for one window, and each
-- expires just before its next turn: an id is remembered for one to two windows. That is longer than
-- any retry lives, and keeps millions of token batches from being remembered for good.
local log, ids, fences = KEYS[1], KEYS[2], KEYS[5]

if ARGV[1] ~= '' then
  local token = redis.call('HGET', fences, ARGV[1])
  if token ~= ARGV[2] then
    return redis.error_reply('FENCED ' .. (token or '0'))
  end
end

local turn, expires
local function take_turn(entry)
  local window = tonumber(ARGV[4])
  local number = math.floor(tonumber(string.match(entry, '^%d+')) / window)
  turn = KEYS[3 + number % 2]
  if redis.call('EXISTS', turn) == 0 then
    expires = string.format('%.0f', (number + 2) * window)
  end
end

local entries, last = {}, nil
for i = 6, #KEYS do
  local a = 5 + (i - 6) * 6
  local id, chat, kind, data, group, whole =
    ARGV[a], ARGV[a + 1], ARGV[a + 2], ARGV[a + 3], ARGV[a + 4], ARGV[a + 5]
  local entry
  if group == '' then
    entry = redis.call('HGET', ids, id)
    if not entry then
      entry = redis.call('XADD', log, '*', 'c', chat, 't', kind, 'd', data)
      if whole == '' then whole = data end
      redis.call('XADD', KEYS[i], entry, 't', kind, 'd', whole)
      redis.call('HSET', ids, id, entry)
      last = entry
    end
  else
    entry = redis.call('HGET', KEYS[3], id) or redis.call('HGET', KEYS[4], id)
    if not entry then
      entry = redis.call('XADD', log, '*', 'c', chat, 't', kind, 'd', data, 'p', '')
      redis.call('XADD', KEYS[i], entry, 't', kind, 'd', data, 'p', group)
      if not turn then take_turn(entry) end
      redis.call('HSET', turn, id, entry)
      if expires then
        redis.call('PEXPIREAT', turn, expires)
        expires = nil
      end
      last = entry
    end
  end
  entries[#entries + 1] = entry
end

-- The wake leaves Redis no earlier than the entries are safe: with appendfsync always, replies and
-- pub/sub messages alike wait in output buffers until beforeSleep has written and synced the AOF.
if last then
  redis.call('PUBLISH', ARGV[3], last)
end
return entries
