-- Loads the shim's libraries as Prosody does, and the golden files of the wire contract.

local prosody = os.getenv("PROSODY_SOURCE") or "/usr/lib/prosody";
package.path = prosody .. "/?.lua;" .. package.path;
package.cpath = prosody .. "/?.so;" .. package.cpath;

local here = debug.getinfo(1, "S").source:match("^@(.*)/spec/[^/]*$");
local golden = here .. "/../internal/wire/testdata/";

local support = { json = require "util.json" };

function support.lib(name)
	return assert(loadfile(here .. "/" .. name .. ".lib.lua"))();
end

local function read(path)
	local file = assert(io.open(path));
	local text = file:read("*a");
	file:close();
	return text;
end

-- All golden files of one kind: name → text. They are in JSON, unless another ending is asked for.
function support.golden(kind, ending)
	local files, found = {}, io.popen("ls '" .. golden .. "'");
	for name in found:lines() do
		if name:find("^" .. kind .. "%-.*%." .. (ending or "json") .. "$") then files[name] = read(golden .. name); end
	end
	found:close();
	assert(next(files), "no golden files " .. kind .. "-* in " .. golden);
	return files;
end

return support;
