-- For the benchmark alone: the least that a join can cost which has a verifier judge it. It is held, asked about with the
-- grant, and when the answer is an allow the join is handled once more from the start, as it has to be.

local async, new_id, jid, st = require "util.async", module:require "usher".new_id, require "util.jid", require "util.stanza";
local post = module:require "usher_http".new({ module:get_option_string("usher_url") }, 2);
local ours, count, asked = new_id() .. "-", 0, setmetatable({}, { __mode = "k" });

local function ask(origin, stanza, stage, address)
	local wait, done = async.waiter();
	count = count + 1;
	local request = post("/v1/verify", done, '{"grant":"' .. origin.bench_grant .. '","id":"' .. ours .. count .. '","stage":"' .. stage
		.. '","host":"' .. origin.host .. '","room":"' .. address .. '"}');
	wait();
	if not request[2]:find('allow[":\n]+t') then return origin.send(st.error_reply(stanza, "cancel", "not-allowed")); end
	asked[stanza] = true;
	prosody.core_post_stanza(origin, stanza);
	return true;
end

-- Before Prosody makes a room and an occupant for it.
module:hook("presence/full", function (event)
	local origin, stanza = event.origin, event.stanza;
	if asked[stanza] or stanza.attr.type then return; end
	local address = jid.bare(stanza.attr.to);
	local stage = prosody.hosts[module.host].modules.muc.get_room_from_jid(address) and "join" or "create";
	return ask(origin, stanza, stage, address);
end, -1);
