-- Prepares names with Prosody's own library: reads one name a line, in hex, and answers with what nodeprep and nameprep
-- make of it, in hex, "-" where Prosody refuses. Prosody is right: the table beside this file holds its answers.
package.cpath = "/usr/lib/prosody/?.so;" .. package.cpath
local prep = require "util.encodings".stringprep

local function unhex(s)
	return (s:gsub("%x%x", function(byte) return string.char(tonumber(byte, 16)) end))
end

local function hex(s)
	return s and (s:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) or "-"
end

for line in io.lines() do
	local name = unhex(line)
	io.write(hex(prep.nodeprep(name)), " ", hex(prep.nameprep(name)), "\n")
end
