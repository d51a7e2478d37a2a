-- Raises a fence. KEYS: fences. ARGV: name, token.
-- A fence is never lowered; raising it to its present token is not an error.
local token = redis.call('HGET', KEYS[1], ARGV[1])
if token and tonumber(token) > tonumber(ARGV[2]) then
  return redis.error_reply('FENCED ' .. token)
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return ARGV[2]
