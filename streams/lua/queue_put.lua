-- Queues a job. KEYS: jobs, keys. ARGV: key, payload.
-- Returns 1, or 0 if a job of this key is queued or running.
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 1 then
  return 0
end
local id = redis.call('XADD', KEYS[1], '*', 'k', ARGV[1], 'p', ARGV[2], 'n', '0')
redis.call('HSET', KEYS[2], ARGV[1], id)
return 1
