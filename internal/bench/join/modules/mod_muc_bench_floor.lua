-- For the benchmark alone: the least that a join can cost which has a verifier judge it. It is held, asked about with the
-- grant, and when the answer is an allow the join is handled once more from the start, as it has to be.

local async, new_id, st = require "util.async", module:require "usher".new_id, require "util.stanza";
local post = module:require "usher_http".new({ module:get_option_string("usher_url") }, 2);
local ours, count, asked = new_id() .. "-", 0, setmetatable({}, { __mode = "k" });

local function ask(origin, stanza, stage, room)
	local wait, done = async.waiter();
	count = count + 1;
	local request = post("/v1/verify", done, "", "", '{"grant":"' .. origin.bench_grant .. '","id":"' .. ours .. count .. '","stage":"' .. stage
		.. '","host":"' .. origin.host .. '","room":"' .. room.jid .. '"}');
	wait();
	if not request[2]:find('"allow":true', 1, true) then return origin.send(st.error_reply(stanza, "cancel", "not-allowed")); end
	asked[stanza] = true;
	prosody.core_post_stanza(origin, stanza);
end

local function gate(stage)
	return function (event)
		local origin, stanza, room = event.origin, event.stanza, event.room;
		if asked[stanza] then return; end
		if async.ready() then ask(origin, stanza, stage, room);
		else async.runner(function () ask(origin, stanza, stage, room); end):run(true); end
		return true;
	end;
end

module:hook("muc-room-pre-create", gate("create"), 99);
module:hook("muc-occupant-pre-join", gate("join"), 99);
