-- Begins every script that says where the store is or writes to it: what a newer usher has laid out in another way is left
-- alone. The format stands in meta where it is not the first.
local format = redis.call("HGET", KEYS[6], "format") or "1"
if format ~= "1" then return redis.error_reply("FORMAT " .. format) end

