-- Takes a turn, or renews it. KEYS: turn. ARGV: token, how often it was renewed, lease in ms, and what
-- stood there for a whole lease by the caller's own clock ('' = nothing did): it has lapsed.
-- Returns '', or what stands there when the turn is somebody else's.
local holder = redis.call('GET', KEYS[1])
if holder and string.match(holder, '^[^:]*') ~= ARGV[1] and holder ~= ARGV[4] then
  return holder
end
redis.call('SET', KEYS[1], ARGV[1] .. ':' .. ARGV[2], 'PX', ARGV[3])
return ''
