-- The id of the last job that was delivered; newer jobs are unclaimed. KEYS: jobs. ARGV: group.
local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
if not groups.err then
  for _, group in ipairs(groups) do
    local fields = {}
    for i = 1, #group, 2 do fields[group[i]] = group[i + 1] end
    if fields['name'] == ARGV[1] then
      return fields['last-delivered-id']
    end
  end
end
return '0-0'
