-- For the benchmark alone: says which Lua code the CPU time of this Prosody goes to.
--
-- A hook runs after every so many instructions of Lua, and charges the CPU time since the last one (what C functions,
-- system calls and the collector took is in it) to the function that runs at that moment. Its own time is left out.
-- How many instructions is thrown anew each time: all clients do the same, so that with a fixed number the samples
-- would fall on the same few lines each time.

module:set_global();

local clock, getinfo, sethook, floor, random = os.clock, debug.getinfo, debug.sethook, math.floor, math.random;

local own, lines, behalf = {}, {}, {};
local total, samples, last = 0, 0, clock();

local function short(source)
	if source:sub(1, 1) ~= "@" then return "(" .. source:gsub("^=", ""):sub(1, 40) .. ")"; end
	return source:match("([^/]+/[^/]+)$") or source:sub(2);
end

local names = setmetatable({}, { __mode = "k" }); -- function → file, file:line, whether it is usher's

local function name_of(info)
	local known = names[info.func];
	if not known then
		local file = short(info.source);
		known = { file = file, line = file .. ":" .. info.linedefined, ours = file:find("usher", 1, true) ~= nil };
		names[info.func] = known;
	end
	return known;
end

local function sample()
	local spent = clock() - last;
	local level = 2;
	local info = getinfo(level, "Sf");
	while info and info.what == "C" do level = level + 1; info = getinfo(level, "Sf"); end
	if info then
		local dispatcher = prosody.core_post_stanza;
		local at = name_of(info);
		total, samples = total + spent, samples + 1;
		own[at.file] = (own[at.file] or 0) + spent;
		lines[at.line] = (lines[at.line] or 0) + spent;
		while info do
			local caller = name_of(info);
			if caller.ours then behalf[caller.file] = (behalf[caller.file] or 0) + spent; break; end
			if info.func == dispatcher then break; end -- below it is what Prosody does without us as well
			level = level + 1;
			info = getinfo(level, "Sf");
		end
	end
	sethook(sample, "", random(20, 120));
	last = clock();
end

-- A hook is a coroutine's own: that of the event loop is set from a timer, and every other when it is made.
local create, wrap = coroutine.create, coroutine.wrap;
local function hooked(thread)
	sethook(thread, sample, "", random(20, 120));
	return thread;
end

-- luacheck: ignore 122
function coroutine.create(f) return hooked(create(f)); end
function coroutine.wrap(f)
	local thread = hooked(create(f));
	local function pass(ok, ...)
		if not ok then error((...), 0); end
		return ...;
	end
	return function (...) return pass(coroutine.resume(thread, ...)); end
end

module:add_timer(0, function () sethook(sample, "", 100); end);

local function microseconds(times)
	local all = {};
	for what, seconds in pairs(times) do all[what] = floor(seconds * 1e6); end
	return all;
end

-- bench_profile() begins anew and returns what was seen until then.
function prosody.bench_profile()
	local seen = { total = floor(total * 1e6), samples = samples };
	seen.files, seen.functions, seen.behalf = microseconds(own), microseconds(lines), microseconds(behalf);
	own, lines, behalf, total, samples, last = {}, {}, {}, 0, 0, clock();
	return seen;
end

function module.unload()
	sethook();
	coroutine.create, coroutine.wrap = create, wrap;
end
