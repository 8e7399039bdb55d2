-- For the benchmark alone: the least that a join can cost which asks anybody over HTTP. It is held, the same question is
-- posted each time, and when any answer has come the join is handled once more from the start, as it has to be.

local async = require "util.async";
local url, question = module:get_option_string("bench_floor_url"), module:get_option_string("bench_floor_join");
local post = module:require "usher_http".new({ url }, 2);
local asked = setmetatable({}, { __mode = "k" });

local function ask(origin, stanza)
	local wait, done = async.waiter();
	post("/v1/verify", done, "", "", question);
	wait();
	asked[stanza] = true;
	prosody.core_post_stanza(origin, stanza);
end

local function hold(event)
	local origin, stanza = event.origin, event.stanza;
	if asked[stanza] then return; end
	if async.ready() then ask(origin, stanza); else async.runner(function () ask(origin, stanza); end):run(true); end
	return true;
end

module:hook("muc-room-pre-create", hold, 99);
module:hook("muc-occupant-pre-join", hold, 99);
