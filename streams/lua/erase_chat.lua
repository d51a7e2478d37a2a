-- Removes one chat's entries from the log, a chunk at a time.
-- KEYS: log. ARGV: chat, where to go on (an id, or '-'), entries looked at in one call.
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
if #page < tonumber(ARGV[3]) then
  return false
end
return '(' .. page[#page][1]
