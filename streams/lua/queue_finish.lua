-- Ends a job (ARGV[5] = '') or requeues it for any worker (ARGV[5] = deliveries so far).
-- KEYS: jobs, owners, keys, leases. ARGV: group, id, token, key, deliveries, payload.
-- Returns 1, or 0 if the job has another owner or no longer exists.
if redis.call('HGET', KEYS[2], ARGV[2]) ~= ARGV[3] then
  return 0
end
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
redis.call('XDEL', KEYS[1], ARGV[2])
redis.call('HDEL', KEYS[2], ARGV[2])
redis.call('HDEL', KEYS[4], ARGV[2])
if ARGV[5] == '' then
  redis.call('HDEL', KEYS[3], ARGV[4])
else
  local id = redis.call('XADD', KEYS[1], '*', 'k', ARGV[4], 'p', ARGV[6], 'n', ARGV[5])
  redis.call('HSET', KEYS[3], ARGV[4], id)
end
return 1
