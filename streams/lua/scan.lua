-- One page of the log without its parts, so that they need not travel to be thrown away.
-- KEYS: log. ARGV: after, entries looked at. Returns how many were looked at, the last of them, the rest.
local page = redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+', 'COUNT', ARGV[2])
local kept = {}
for _, entry in ipairs(page) do
  if #entry[2] == 6 then
    kept[#kept + 1] = entry
  end
end
return {#page, #page > 0 and page[#page][1] or ARGV[1], kept}
