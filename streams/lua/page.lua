-- A consistent page of several streams, bounded in entries and in bytes (walk.lua).
-- KEYS: streams. ARGV: after, the limits of entries and of bytes of data to read, the position of data
-- among the fields, "1" to leave out parts, which have one more field.
-- Returns for each stream whether there may be more, the id of the last entry read, the entries.
local DATA = tonumber(ARGV[4])

local function page(key)
  local last, kept = ARGV[1], {}
  local more = walk('XRANGE', key, '(' .. last, '+', tonumber(ARGV[2]), tonumber(ARGV[3]), DATA, FEW,
    function(entry)
      if ARGV[5] ~= '1' or #entry[2] == DATA then
        kept[#kept + 1] = entry
      end
      last = entry[1]
    end)
  return {more and 1 or 0, last, kept}
end

local pages = {}
for number, key in ipairs(KEYS) do
  pages[number] = page(key)
end
return pages
