-- The end of a stream, bounded in entries and in bytes (walk.lua).
-- KEYS: stream. ARGV: entries, bytes of data, the place of data among the fields.
-- Returns the entries, newest first; one that is longer than that alone is not among them.
local limit, room, DATA = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local kept = {}
-- One at a time: these are few, and short ones often come after a long one.
walk('XREVRANGE', KEYS[1], '+', '-', limit, room, DATA, 1, function(entry)
  if #entry[2][DATA] <= room then
    kept[#kept + 1] = entry
  end
end)
return kept
