-- Claims a token id for a session, or says who has it.
-- KEYS: the mark
-- ARGV: owner, the session that it resumes (or empty), for how many milliseconds (0: for ever)
-- Answers: first (1 or 0), owner, when it was first claimed, now
local key = KEYS[1]
local owner, resumes, lasts = ARGV[1], ARGV[2], ARGV[3]
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local mark = redis.call("GET", key)
if not mark then
  redis.call("SET", key, string.format("%.0f:%s", now, owner))
  if lasts ~= "0" then redis.call("PEXPIRE", key, lasts) end
  return { 1, owner, now, now }
end
local at, holder = string.match(mark, "^(%d+):(.*)$")
if not at then
  return redis.error_reply("ERR the replay mark " .. key .. " is none that this usher writes: run the newest version of the fleet here, or delete the key where another program wrote it")
end
if resumes ~= "" and resumes == holder and owner ~= holder then
  redis.call("SET", key, at .. ":" .. owner, "KEEPTTL")
  holder = owner
end
return { 0, holder, tonumber(at), now }
