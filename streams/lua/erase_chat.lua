-- Removes one chat's entries from the log, a chunk at a time, and at the end what they counted.
-- KEYS: log, sizes. ARGV: chat, where to go on (an id, or '-'), entries looked at in one call.
-- Returns where to go on, or false when all is done.
local page = redis.call('XRANGE', KEYS[1], ARGV[2], '+', 'COUNT', ARGV[3])
local gone = {}
for _, entry in ipairs(page) do
  if entry[2][2] == ARGV[1] then
    gone[#gone + 1] = entry[1]
  end
end
if #gone > 0 then
  redis.call('XDEL', KEYS[1], unpack(gone))
end
if #page == tonumber(ARGV[3]) then
  return '(' .. page[#page][1]
end

local sizes, fields = KEYS[2], {'l:' .. ARGV[1], 'i:' .. ARGV[1]}
local counted = redis.call('HMGET', sizes, unpack(fields))
local bytes = (counted[1] or 0) + (counted[2] or 0)
-- The HDEL goes first: once a script has written, a full Redis refuses it nothing.
if redis.call('HDEL', sizes, unpack(fields)) > 0 then
  redis.call('HINCRBY', sizes, 'total', 0 - bytes)
end
return false
