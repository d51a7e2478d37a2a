-- Counts entries that a release without sizes appended: those after 'place' up to 'until'.
-- KEYS: log, sizes, then the indexes of some chats. ARGV: the limits of entries and bytes read in one
-- call, overhead in bytes of an entry of the log, of an entry of an index and of a known id, then the
-- chats of the indexes.
-- Returns 0 when all are counted, 1 if there are more, or the chat whose index it needs to continue.
local STEP = 4
local log, sizes = KEYS[1], KEYS[2]
local limit, room = tonumber(ARGV[1]), tonumber(ARGV[2])

local last = redis.call('HGET', sizes, 'until')
if not last then
  if redis.call('HEXISTS', sizes, 'total') == 1 then
    return 0
  end
  local newest = redis.call('XREVRANGE', log, '+', '-', 'COUNT', '1')[1]
  if not newest then
    return 0
  end
  last = newest[1]
  redis.call('HSET', sizes, 'total', '0', 'until', last)
end

local indexes = {}
for i = 3, #KEYS do
  indexes[ARGV[i + 3]] = KEYS[i]
end

local grown, total = {}, 0
local function count(field, bytes)
  grown[field] = (grown[field] or 0) + bytes
  total = total + bytes
  room = room - bytes
end

local function index_bytes(index, id)
  local copy = redis.call('XRANGE', index, id, id)[1]
  return copy and #copy[2][4] + ARGV[4] or 0
end

local place = redis.call('HGET', sizes, 'place') or '-'
local seen, reply = 0, 1
while reply == 1 and seen < limit and room > 0 do
  local page = redis.call('XRANGE', log, place, last, 'COUNT', STEP)
  for _, entry in ipairs(page) do
    local chat, is_part = entry[2][2], #entry[2] > 6
    if not is_part and not indexes[chat] then
      reply = chat
      break
    end
    if not is_part then
      count('i:' .. chat, index_bytes(indexes[chat], entry[1]))
      total = total + ARGV[5]
    end
    count('l:' .. chat, #entry[2][6] + ARGV[3])
    place, seen = '(' .. entry[1], seen + 1
  end
  if reply == 1 and #page < STEP then
    reply = 0
  end
end

for field, bytes in pairs(grown) do
  redis.call('HINCRBY', sizes, field, bytes)
end
redis.call('HINCRBY', sizes, 'total', total)
if reply == 0 then
  redis.call('HDEL', sizes, 'until', 'place')
elseif seen > 0 then
  redis.call('HSET', sizes, 'place', place)
end
return reply
