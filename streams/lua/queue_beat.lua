-- Records a worker's heartbeat. KEYS: jobs, beats, infos. ARGV: group, consumer, info, expiry in ms.
-- Removes workers without a heartbeat for longer than that, and their consumers unless they own jobs. A
-- heartbeat in the future was recorded before the clock was set back; a living worker sends another
-- within seconds.
-- Returns 1 if the caller is the leader: the first by name of the workers that are alive.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[2], string.format('%.0f', now), ARGV[2])
redis.call('HSET', KEYS[3], ARGV[2], ARGV[3])
local silent = {}
for _, range in ipairs({
  {'-inf', string.format('(%.0f', now - ARGV[4])}, {string.format('(%.0f', now + ARGV[4]), '+inf'}
}) do
  for _, consumer in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], range[1], range[2])) do
    silent[#silent + 1] = consumer
  end
end
for _, consumer in ipairs(silent) do
  local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1], '-', '+', '1', consumer)
  if pending.err or #pending == 0 then
    redis.pcall('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer)
    redis.call('ZREM', KEYS[2], consumer)
    redis.call('HDEL', KEYS[3], consumer)
  end
end
for _, consumer in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], now - ARGV[4], now + ARGV[4])) do
  if consumer < ARGV[2] then return 0 end
end
return 1
