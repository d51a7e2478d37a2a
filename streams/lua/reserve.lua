-- Reserves bytes for an append, if they fit. A repeated reservation under the same name counts once.
-- KEYS: sizes, coming. ARGV: name, chat, bytes in total, the share of them in the chat's index, the
-- limits in bytes of the log and of the chat's index (0 = no limit), after how many ms without another
-- reservation unreleased ones expire.
-- Returns '', or what is full: 'log' or 'chat'.
local chat, name = ARGV[2], ARGV[2] .. ' ' .. ARGV[1]
local total, of_chat = tonumber(ARGV[3]), tonumber(ARGV[4])
local most, most_of_chat = tonumber(ARGV[5]), tonumber(ARGV[6])

local coming = redis.call('HGETALL', KEYS[2])
for i = 1, #coming, 2 do
  if coming[i] ~= name then
    local bytes, in_index = string.match(coming[i + 1], '(%d+)/(%d+)')
    total = total + bytes
    if string.sub(coming[i], 1, #chat + 1) == chat .. ' ' then
      of_chat = of_chat + in_index
    end
  end
end

local stored = redis.call('HMGET', KEYS[1], 'total', 'i:' .. chat)
if most > 0 and total + (stored[1] or 0) > most then
  return 'log'
end
if most_of_chat > 0 and of_chat + (stored[2] or 0) > most_of_chat then
  return 'chat'
end
redis.call('HSET', KEYS[2], name, ARGV[3] .. '/' .. ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[7])
return ''
