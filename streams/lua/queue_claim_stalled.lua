-- Takes over jobs whose lease has lapsed, each with a new token.
-- KEYS: jobs, owners, tokens, leases. ARGV: group, consumer, limit, then id and count of renewals of
-- each lapsed lease. A job whose count has changed since then is not taken over.
-- Returns the same as queue_claim.lua.
local jobs, limit = {}, tonumber(ARGV[3])
for i = 4, #ARGV, 2 do
  if #jobs == limit then break end
  if (redis.call('HGET', KEYS[4], ARGV[i]) or '') == ARGV[i + 1] then
    local row = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], '1')[1]
    local entry = row and redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], '0', ARGV[i])[1]
    if entry then
      local token = redis.call('INCR', KEYS[3])
      redis.call('HSET', KEYS[2], entry[1], token)
      redis.call('HINCRBY', KEYS[4], entry[1], 1)
      jobs[#jobs + 1] = {entry[1], entry[2][2], entry[2][4], token, entry[2][6] + row[4] + 1}
    else
      redis.call('HDEL', KEYS[4], ARGV[i])
    end
  end
end
return jobs
