-- Count ARGV[3] bytes, if no more than ARGV[1] are counted then within any ARGV[2] milliseconds.
--
-- KEYS[1] is a hash of bytes by the part of the window that they came in, 24 parts to a window: so
-- what is counted leaves the window up to a 24th of it late, never early.
--
-- Returns 0 when they were counted, else in how many milliseconds to try again.
local PARTS = 24
local allowed, window, bytes = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local length = math.ceil(window / PARTS)
local part = math.floor(now / length)

local kept, gone, used = {}, {}, 0
local counted = redis.call('HGETALL', KEYS[1])
for i = 1, #counted, 2 do
  local at, held = tonumber(counted[i]), tonumber(counted[i + 1])
  if at > part then
    -- A clock that was set back: nobody waits longer than a window.
    gone[#gone + 1] = counted[i]
    redis.call('HINCRBY', KEYS[1], string.format('%d', part), held)
    used = used + held
    kept[#kept + 1] = {part, held}
  elseif at < part - PARTS then
    gone[#gone + 1] = counted[i]
  else
    used = used + held
    kept[#kept + 1] = {at, held}
  end
end
if #gone > 0 then
  redis.call('HDEL', KEYS[1], unpack(gone))
end

if used + bytes <= allowed then
  redis.call('HINCRBY', KEYS[1], string.format('%d', part), string.format('%d', bytes))
  redis.call('PEXPIRE', KEYS[1], window + length)
  return 0
end

table.sort(kept, function(a, b) return a[1] < b[1] end)
local leaves = part + PARTS + 1
for _, held in ipairs(kept) do
  used = used - held[2]
  leaves = held[1] + PARTS + 1
  if used + bytes <= allowed then break end
end
return leaves * length - now
