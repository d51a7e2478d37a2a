-- KEYS: fences. ARGV: name, token. A fence only rises; raising it to where it stands is no error.
local token = redis.call('HGET', KEYS[1], ARGV[1])
if token and tonumber(token) > tonumber(ARGV[2]) then
  return redis.error_reply('FENCED ' .. token)
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return ARGV[2]
