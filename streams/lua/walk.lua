-- Prepended to scripts that read streams (streams/pipe.py: Script).
--
-- Calls `visit` with the entries of a stream from one id on, in the order of XRANGE or XREVRANGE: at
-- most `limit` of them with `room` bytes of data, or one larger entry. `place` is the position of the
-- data among the fields. Returns whether there may be more.
--
-- A limit on the count alone could read hundreds of megabytes. So Redis is asked for a few entries at a
-- time (`most`), and for no more than fit if they are as long as the previous ones. In Lua a megabyte
-- takes about 3 ms, so four entries with the longest message stay below 20 ms.
local FEW = 4

local function walk(command, key, from, to, limit, room, place, most, visit)
  local seen, used, count = 0, 0, 1
  while seen < limit and count > 0 do
    count = math.min(count, limit - seen)
    local entries = redis.call(command, key, from, to, 'COUNT', count)
    for _, entry in ipairs(entries) do
      local size = #entry[2][place]
      if seen > 0 and used + size > room then
        return true
      end
      visit(entry)
      seen, used, from = seen + 1, used + size, '(' .. entry[1]
    end
    if #entries < count then
      return false
    end
    local fitting = math.floor((room - used) / math.max(1, used / seen))
    count = math.min(2 * count, most, fitting)
  end
  return true
end

