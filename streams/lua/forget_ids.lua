-- Removes the event ids of a chat's entries, a chunk at a time, and their counted bytes.
-- KEYS: ids, sizes, the chat's index. ARGV: where to start (a cursor of HSCAN), how many event ids to
-- read in one call, the bytes that a known id counts.
-- Returns where to continue, or false at the end. Running it again is harmless.
local scan = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local gone = {}
for i = 1, #scan[2], 2 do
  local entry = scan[2][i + 1]
  if #redis.call('XRANGE', KEYS[3], entry, entry) > 0 then
    gone[#gone + 1] = scan[2][i]
  end
end
-- HDEL goes first: a full Redis lets a script continue once it has written.
local dropped = #gone > 0 and redis.call('HDEL', KEYS[1], unpack(gone)) or 0
-- While a log of an earlier release is not fully counted, it is unknown which of its ids were counted.
if dropped > 0 and redis.call('HEXISTS', KEYS[2], 'until') == 0 then
  redis.call('HINCRBY', KEYS[2], 'total', 0 - dropped * ARGV[3])
end
return scan[1] ~= '0' and scan[1]
