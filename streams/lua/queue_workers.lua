-- The living workers. KEYS: beats, infos. ARGV: expiry in ms.
-- Returns consumer, info, age in ms of each. A heartbeat in the future was recorded before the clock
-- was set back.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local workers = {}
local beats = redis.call('ZRANGEBYSCORE', KEYS[1], string.format('%.0f', now - ARGV[1]),
  string.format('%.0f', now + ARGV[1]), 'WITHSCORES')
for i = 1, #beats, 2 do
  local age = math.max(0, now - beats[i + 1])
  workers[#workers + 1] = {beats[i], redis.call('HGET', KEYS[2], beats[i]) or '', age}
end
return workers
