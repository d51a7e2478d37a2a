-- The end of a stream, bounded in entries and in bytes (walk.lua).
-- KEYS: stream. ARGV: the limits of entries and of bytes of data, the position of data among the
-- fields.
-- Returns the entries, newest first, without any that alone exceeds the limit of bytes.
local limit, room, DATA = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local kept = {}
-- One at a time: the limit is low, and a long entry often follows short ones.
walk('XREVRANGE', KEYS[1], '+', '-', limit, room, DATA, 1, function(entry)
  if #entry[2][DATA] <= room then
    kept[#kept + 1] = entry
  end
end)
return kept
