-- Claims new jobs for a consumer, each with a token higher than every earlier one.
-- KEYS: jobs, owners, tokens, leases. ARGV: group, consumer, limit.
-- Returns for each job: id, key, payload, token, deliveries.
local function take()
  return redis.pcall('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', ARGV[3], 'STREAMS', KEYS[1], '>')
end
local reply = take()
if reply and reply.err then
  if not string.find(reply.err, 'NOGROUP', 1, true) then
    return reply
  end
  redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
  reply = take()
end
local jobs = {}
if not reply then
  return jobs
end
for _, entry in ipairs(reply[1][2]) do
  local token = redis.call('INCR', KEYS[3])
  redis.call('HSET', KEYS[2], entry[1], token)
  redis.call('HINCRBY', KEYS[4], entry[1], 1)
  jobs[#jobs + 1] = {entry[1], entry[2][2], entry[2][4], token, entry[2][6] + 1}
end
return jobs
