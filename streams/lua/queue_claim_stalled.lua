-- Jobs whose lease has lapsed, each with a fresh token.
-- KEYS: jobs, owners, tokens, watch. ARGV: group, consumer, limit, lease in ms.
-- Returns the same as queue_claim.lua.
--
-- While Redis is down or frozen nobody can renew, so afterwards every lease looks lapsed though the
-- owners live. Everybody who looks for stalled jobs leaves the time here; after a gap, or in a new
-- Redis, the owners get one lease to come back before anything is taken from them.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lease = tonumber(ARGV[4])
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
local watch = redis.call('HMGET', KEYS[4], 'run', 'seen', 'since')
local since = tonumber(watch[3])
if watch[1] ~= run or not since or now - tonumber(watch[2]) > lease then
  since = now
end
redis.call('HSET', KEYS[4], 'run', run, 'seen', string.format('%.0f', now),
  'since', string.format('%.0f', since))
if now - since < lease then
  return {}
end

local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1], 'IDLE', ARGV[4], '-', '+', ARGV[3])
if pending.err then
  -- No group: nothing was ever claimed.
  if string.find(pending.err, 'NOGROUP', 1, true) then return {} end
  return pending
end
local jobs = {}
for _, row in ipairs(pending) do
  local claimed = redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[4], row[1])
  local entry = claimed[1]
  if entry then
    local token = redis.call('INCR', KEYS[3])
    redis.call('HSET', KEYS[2], entry[1], token)
    jobs[#jobs + 1] = {entry[1], entry[2][2], entry[2][4], token, entry[2][6] + row[4] + 1}
  end
end
return jobs
