-- Takes a lock, or renews it. KEYS: lock. ARGV: token, number of renewals, lease in ms, and the value
-- that the caller has seen unchanged for a lease by its own clock ('' if none): that one has expired.
-- Returns '', or the value of the key when another process holds the lock.
local holder = redis.call('GET', KEYS[1])
if holder and string.match(holder, '^[^:]*') ~= ARGV[1] and holder ~= ARGV[4] then
  return holder
end
redis.call('SET', KEYS[1], ARGV[1] .. ':' .. ARGV[2], 'PX', ARGV[3])
return ''
