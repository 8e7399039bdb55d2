-- Writes revocations, each merged with what is known under its id, and one change for each that changed something.
-- KEYS: index, detail, expiry, order, lifted, meta, changes
-- ARGV: tag, changes kept, restore ("1" leaves alone what was lifted since it was made, and the detail of what is there),
--       then for each revocation: id, selector, issued_before, expires_at, detail (JSON), actor, when it was made
-- Answers: the last number, then for each: new (1 or 0; where it restores, 1 for whatever changed something), issued_before,
--          expires_at, detail
local index, detail, expiry, order, lifted, meta, changes = unpack(KEYS)
local tag, keep, restore = ARGV[1], ARGV[2], ARGV[3] == "1"
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local last

local function record(id, packed, text, actor)
  last = string.format("%.0f", redis.call("HINCRBY", meta, "seq", 1))
  redis.call("XADD", changes, "MAXLEN", "~", keep, last .. "-0", "c", "+" .. tag .. id .. packed, "d", text, "a", actor)
end

-- was is what the index has under the id, if anything; place is where in the order it stays, else it becomes the newest.
local function put(id, was, place, selector, before, expires, text, actor)
  local packed = struct.pack(">BI6I6", selector, before, expires)
  record(id, packed, text, actor)
  if was then redis.call("ZREM", order, id .. was) end
  redis.call("ZADD", order, place or last, id .. packed)
  redis.call("HSET", index, id, packed)
  redis.call("HSET", detail, id, text)
  if expires > 0 then
    redis.call("ZADD", expiry, expires, id)
  else
    redis.call("ZREM", expiry, id)
  end
end

-- None (0) spares nothing and never goes, so it is later than any time.
local function later(a, b)
  if a == 0 or b == 0 then return 0 end
  return math.max(a, b)
end

-- What was first stays, but a reason is taken where there was none.
local function explained(text, more)
  local first, second = cjson.decode(text), cjson.decode(more)
  if (first.reason or "") ~= "" or (second.reason or "") == "" then return text end
  first.reason = second.reason
  return cjson.encode(first)
end

local function revoke(id, selector, before, expires, text, actor, made)
  local known = redis.call("HGET", index, id)
  if known then
    local _, was_before, was_expires = struct.unpack(">BI6I6", known)
    if was_expires == 0 or was_expires > now then
      local was_text = redis.call("HGET", detail, id) or text
      before, expires, text = later(was_before, before), later(was_expires, expires), restore and was_text or explained(was_text, text)
      local changed = before ~= was_before or expires ~= was_expires or text ~= was_text
      if changed then
        put(id, known, redis.call("ZSCORE", order, id .. known), selector, before, expires, text, actor)
      end
      return restore and changed and 1 or 0, before, expires, text
    end
  end
  local gone = restore and redis.call("ZSCORE", lifted, id)
  if gone and made <= tonumber(gone) then return 0, before, expires, text end
  put(id, known, nil, selector, before, expires, text, actor)
  redis.call("ZREM", lifted, id)
  return 1, before, expires, text
end

local answer = { 0 }
for i = 4, #ARGV, 7 do
  local new, before, expires, text = revoke(ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3]), ARGV[i + 4], ARGV[i + 5], tonumber(ARGV[i + 6]))
  answer[#answer + 1] = new
  answer[#answer + 1] = before
  answer[#answer + 1] = expires
  answer[#answer + 1] = text
end
-- Written each time, also where nothing changed: what is waited for on replicas is the last write of this connection.
redis.call("HSET", meta, "tag", last and tag or (redis.call("HGET", meta, "tag") or ""))
answer[1] = redis.call("HGET", meta, "seq") or "0"
return answer
