-- Takes entries out of a bucket.
--   KEYS  bucket
--   ARGV  expiry (Unix seconds), then the entries, 12 bytes each
local text = redis.call('GET', KEYS[1])
if not text then
  return 0
end
local gone = {}
for n = 2, #ARGV do
  gone[ARGV[n]] = true
end
local kept, forgotten = {}, 0
for at = 1, #text, 12 do
  local entry = string.sub(text, at, at + 11)
  if gone[entry] then
    forgotten = forgotten + 1
  else
    kept[#kept + 1] = entry
  end
end
if #kept == 0 then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], table.concat(kept))
  redis.call('EXPIREAT', KEYS[1], ARGV[1])
end
return forgotten
