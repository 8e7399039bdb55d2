-- For the benchmark alone: says which Lua code the CPU time of this Prosody goes to, or its memory.
--
-- A hook runs after every so many instructions of Lua, and charges what was used since the last one (what C functions,
-- system calls and the collector took is in it) to the function that runs at that moment. What it uses itself is left
-- out. How many instructions is thrown anew each time: all clients do the same, so that with a fixed number the samples
-- would fall on the same few lines each time.

module:set_global();

local getinfo, sethook, floor, random = debug.getinfo, debug.sethook, math.floor, math.random;

local meter, total, samples, last;
-- What there is to measure. Time is in microseconds, memory in bytes; it can be counted only while nothing is collected.
-- Of Lua's instructions, each sample stands for as many as lie between two on average: no neighbour disturbs that.
local meters = {
	instructions = function () return (last or 0) + 70; end;
	time = function () return os.clock() * 1e6; end;
	memory = function () return collectgarbage("count") * 1024; end;
};
local files, functions, behalf = {}, {}, {};

local names = setmetatable({}, { __mode = "k" }); -- function → its file, its first line, whether it is usher's

local function name_of(info)
	local known = names[info.func];
	if not known then
		local file = info.source:match("([^/]+/[^/]+)$") or info.source:sub(1, 40);
		known = { file = file, line = file .. ":" .. info.linedefined, ours = file:find("usher", 1, true) ~= nil };
		names[info.func] = known;
	end
	return known;
end

local function charge(list, name, used) list[name] = (list[name] or 0) + used; end

local function sample()
	local used, level = meter() - last, 2;
	local info = getinfo(level, "Sf");
	while info and info.what == "C" do level = level + 1; info = getinfo(level, "Sf"); end
	if info then
		local at, dispatcher = name_of(info), prosody.core_post_stanza;
		total, samples = total + used, samples + 1;
		charge(files, at.file, used);
		charge(functions, at.line, used);
		-- Below whoever hands stanzas out Prosody does what it does without us as well.
		while info and info.func ~= dispatcher do
			local caller = name_of(info);
			if caller.ours then charge(behalf, caller.file, used); break; end
			level = level + 1;
			info = getinfo(level, "Sf");
		end
	end
	sethook(sample, "", random(20, 120));
	last = meter();
end

-- A hook is a coroutine's own: that of the event loop is set from a timer, and every other when it is made.
local create, wrap = coroutine.create, coroutine.wrap;
-- luacheck: ignore 122
function coroutine.create(f)
	local thread = create(f);
	if meter then sethook(thread, sample, "", random(20, 120)); end
	return thread;
end
function coroutine.wrap(f)
	local thread = coroutine.create(f);
	local function pass(ok, ...)
		if not ok then error((...), 0); end
		return ...;
	end
	return function (...) return pass(coroutine.resume(thread, ...)); end
end

local bench = {};
prosody.bench = bench;

function bench.sample(what)
	collectgarbage();
	if what == "memory" then collectgarbage("stop"); end
	meter, total, samples, last = meters[what], 0, 0, meters[what]();
	module:add_timer(0, function () sethook(sample, "", 100); end);
end

local function rounded(used)
	local all = {};
	for what, amount in pairs(used) do all[what] = floor(amount); end
	return all;
end

function bench.seen()
	collectgarbage("restart");
	return { total = floor(total), samples = samples, files = rounded(files), functions = rounded(functions), behalf = rounded(behalf) };
end

function module.unload()
	sethook();
	coroutine.create, coroutine.wrap = create, wrap;
end
