-- Take one of ARGV[1] that may be taken within any ARGV[2] milliseconds.
--
-- KEYS[1] is a list of the times (ms, newest last) at which something was taken: never more of them
-- than the limit, and gone by itself when the window has passed. Exact, not sampled: the next one
-- may be taken when the one `limit` places back has left the window.
--
-- Returns 0 when it was taken, else in how many milliseconds to try again.
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- A clock that was set back must not make anybody wait longer than a window: all times move along.
local newest = tonumber(redis.call('LINDEX', KEYS[1], -1) or 0)
if newest > now then
  local times = redis.call('LRANGE', KEYS[1], 0, -1)
  redis.call('DEL', KEYS[1])
  for _, time in ipairs(times) do
    redis.call('RPUSH', KEYS[1], string.format('%d', time - (newest - now)))
  end
  redis.call('PEXPIRE', KEYS[1], window)
end

local oldest = redis.call('LINDEX', KEYS[1], -limit)
if oldest and tonumber(oldest) > now - window then
  return tonumber(oldest) + window - now
end
-- As text without an exponent: Lua would write a number of this size as 1.76e+12.
redis.call('RPUSH', KEYS[1], string.format('%d', now))
redis.call('LTRIM', KEYS[1], -limit, -1)
redis.call('PEXPIRE', KEYS[1], window)
return 0
