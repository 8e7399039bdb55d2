-- Matches with Lua's own matcher: reads a pattern and a name a line, in hex with a blank between, and answers 1 where the
-- first match is the whole name, 0 where it is not, E where Lua finds the pattern wrong.
local function unhex(s)
	return (s:gsub("%x%x", function(byte) return string.char(tonumber(byte, 16)) end))
end

for line in io.lines() do
	local pattern, name = line:match("^(%x*) (%x*)$")
	pattern, name = unhex(pattern), unhex(name)
	local ok, first, last = pcall(string.find, name, pattern)
	io.write(not ok and "E" or (first == 1 and last == #name) and "1" or "0", "\n")
end
