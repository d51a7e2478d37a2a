-- Gives a turn up, if it is still the holder's. KEYS: turn. ARGV: token.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
