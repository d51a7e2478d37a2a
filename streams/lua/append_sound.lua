-- Appends bytes to a sound. Atomic.
--
-- KEYS: the sound, fences, the names of the log's sounds
-- ARGV: fence name ('' = none), fence token, name of the sound, offset of the first byte, attempt,
--       offset at which the attempt began, how long the sound is kept in ms, the bytes
-- Returns the size. The id of an entry is the size after it, so that an offset finds its entry, and
-- bytes that were appended before are not appended again. Without bytes, the sound is closed: that
-- entry has the same size and the sequence number 1, and nothing can follow it.
local key, name, data = KEYS[1], ARGV[3], ARGV[8]

if ARGV[1] ~= '' then
  local token = redis.call('HGET', KEYS[2], ARGV[1])
  if token ~= ARGV[2] then
    return redis.error_reply('FENCED ' .. (token or '0'))
  end
end

local size, closed = 0, false
local last = redis.call('XREVRANGE', key, '+', '-', 'COUNT', '1')[1]
if last then
  local place, sequence = string.match(last[1], '^(%d+)-(%d+)$')
  size, closed = tonumber(place), sequence == '1'
end

if data == '' then
  if not closed then
    redis.call('SADD', KEYS[3], name)
    redis.call('XADD', key, string.format('%.0f-1', size), 'e', '')
    redis.call('PEXPIRE', key, ARGV[7])
  end
  return size
end

local from = tonumber(ARGV[4])
if from + #data <= size then
  return size
end
if closed or from ~= size then
  return redis.error_reply('OFFSET ' .. string.format('%.0f', size))
end
redis.call('SADD', KEYS[3], name)
redis.call('XADD', key, string.format('%.0f-0', size + #data), 'a', ARGV[5], 'b', ARGV[6], 'd', data)
redis.call('PEXPIRE', key, ARGV[7])
return size + #data
