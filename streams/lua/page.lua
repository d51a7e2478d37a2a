-- One page of streams as they are at one moment, bounded in entries and in bytes. Read in short
-- steps: what is bounded in entries alone may be hundreds of megabytes.
-- KEYS: streams. ARGV: after, entries looked at, bytes of data, the place of data among the fields,
-- "1" to leave out parts, which have a field more.
-- Returns of each stream whether there may be more, the last entry looked at, the entries.
local STEP = 32
local DATA = tonumber(ARGV[4])

local function page(key)
  local limit, room = tonumber(ARGV[2]), tonumber(ARGV[3])
  local last, seen, kept = ARGV[1], 0, {}
  while seen < limit do
    local step = math.min(STEP, limit - seen)
    local found = redis.call('XRANGE', key, '(' .. last, '+', 'COUNT', step)
    for _, entry in ipairs(found) do
      if ARGV[5] ~= '1' or #entry[2] == DATA then
        room = room - #entry[2][DATA]
        if room < 0 and #kept > 0 then
          return {1, last, kept}
        end
        kept[#kept + 1] = entry
      end
      last, seen = entry[1], seen + 1
    end
    if #found < step then
      return {0, last, kept}
    end
  end
  return {1, last, kept}
end

local pages = {}
for number, key in ipairs(KEYS) do
  pages[number] = page(key)
end
return pages
