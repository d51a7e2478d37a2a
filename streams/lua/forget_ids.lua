-- Drops the event ids of one chat's entries, a chunk at a time, and what they counted.
-- KEYS: ids, sizes, the chat's index. ARGV: where to go on (a cursor of HSCAN), event ids looked at in
-- one call, bytes that a known id counts.
-- Returns where to go on, or false when all is done. Running it again does nothing more.
local found = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local gone = {}
for i = 1, #found[2], 2 do
  local entry = found[2][i + 1]
  if #redis.call('XRANGE', KEYS[3], entry, entry) > 0 then
    gone[#gone + 1] = found[2][i]
  end
end
-- The HDEL goes first: once a script has written, a full Redis refuses it nothing.
local dropped = #gone > 0 and redis.call('HDEL', KEYS[1], unpack(gone)) or 0
-- As long as a log of an earlier release is not counted, nobody knows which of its ids were.
if dropped > 0 and redis.call('HEXISTS', KEYS[2], 'until') == 0 then
  redis.call('HINCRBY', KEYS[2], 'total', 0 - dropped * ARGV[3])
end
return found[1] ~= '0' and found[1]
