-- Removes one chat's entries from the log, a chunk at a time (walk.lua).
-- KEYS: log. ARGV: chat, where to go on (an id, or '-'), entries and bytes of data looked at in one
-- call.
-- Returns where to go on, or false when all is done.
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
return more and '(' .. last
