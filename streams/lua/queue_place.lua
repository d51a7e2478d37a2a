-- The id of the last job that was handed out; one that is younger is free. KEYS: jobs. ARGV: group.
local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
if not groups.err then
  for _, group in ipairs(groups) do
    local found = {}
    for i = 1, #group, 2 do found[group[i]] = group[i + 1] end
    if found['name'] == ARGV[1] then
      return found['last-delivered-id']
    end
  end
end
return '0-0'
