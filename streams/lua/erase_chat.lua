-- Removes a chat's entries from the log, a chunk at a time (walk.lua), and finally their counted bytes.
-- KEYS: log, sizes. ARGV: chat, where to start (an id, or '-'), the limits of entries and of bytes of
-- data read in one call.
-- Returns where to continue, or false at the end.
local DATA = 6
local last, gone = nil, {}
local more = walk('XRANGE', KEYS[1], ARGV[2], '+', tonumber(ARGV[3]), tonumber(ARGV[4]), DATA, FEW,
  function(entry)
    last = entry[1]
    if entry[2][2] == ARGV[1] then
      gone[#gone + 1] = last
    end
  end)
if #gone > 0 then
  redis.call('XDEL', KEYS[1], unpack(gone))
end
if more then
  return '(' .. last
end

local sizes, fields = KEYS[2], {'l:' .. ARGV[1], 'i:' .. ARGV[1]}
local counted = redis.call('HMGET', sizes, unpack(fields))
local bytes = (counted[1] or 0) + (counted[2] or 0)
-- HDEL goes first: a full Redis lets a script continue once it has written.
if redis.call('HDEL', sizes, unpack(fields)) > 0 then
  redis.call('HINCRBY', sizes, 'total', 0 - bytes)
end
return false
