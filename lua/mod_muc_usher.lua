-- Lets into rooms whom the usher verifier lets in.
--
--   Component "conference.meet.example.com" "muc"
--       modules_enabled = { "muc_usher" }

local async = require "util.async";
local jid = require "util.jid";
local st = require "util.stanza";
local usermanager = require "core.usermanager";

local usher = module:require "usher";
local client = usher.client(module:require "usher_http");
local ask_directly = usher.asker(client, module:get_option_string("usher_profile"));

local allowlist = module:get_option_set("usher_allowlist", {})
	+ module:get_option_set("token_verification_allowlist", {});
local s2s_allow = module:get_option_set("usher_s2s_allow", {});
local apply = module:get_option_set("usher_apply", { "affiliation", "room_policy" });
local moderation_needs_token = module:get_option_boolean("token_verification_require_token_for_moderation");

local count_allowed, count_denied = module:measure("allowed", "counter"), module:measure("denied", "counter");
local count_unavailable, count_exempt = module:measure("unavailable", "counter"), module:measure("exempt", "counter");

local muc_ns, jitsi_ns = "http://jabber.org/protocol/muc", "http://jitsi.org/jitmeet";

-- The verdict on a join that is being redone, by its stanza.
local verdicts = setmetatable({}, { __mode = "k" });

local function is_admin(address)
	if not usermanager.get_jid_role then return usermanager.is_admin(address, module.host); end
	-- From 13 on is_admin logs a traceback at each call.
	local role = usermanager.get_jid_role(jid.bare(address), module.host);
	return role and (role.name == "prosody:admin" or role.name == "prosody:operator");
end

local function is_exempt(origin, stanza)
	local from = stanza.attr.from;
	local _, domain = jid.split(from);
	return is_admin(from) or allowlist:contains(domain) or allowlist:contains(jid.bare(from))
		or origin.type == "s2sin" and s2s_allow:contains(domain);
end

local function refuse(origin, stanza, answer)
	local reply;
	if answer.unavailable then
		reply = st.error_reply(stanza, "wait", "service-unavailable", answer.text, module.host);
	else
		reply = st.error_reply(stanza, "cancel", answer.condition, answer.text, module.host);
		if answer.jitsi_code then reply:tag(answer.jitsi_code, { xmlns = jitsi_ns }); end
	end
	origin.send(reply);
end

local function ask(origin, question)
	question.host = origin.host or module.host;
	if prosody.hosts[question.host] then
		local answer = module:context(question.host):fire_event("usher-ask", { session = origin, question = question });
		if answer then return answer; end
	end
	return ask_directly(origin, question);
end

-- Waiting inside the hook and then going on would go on with what was true before: two first joins would make two
-- rooms. So a join is judged, and its stanza handled once more from the start, with the verdict at hand.
local function judge(event)
	local origin, stanza = event.origin, event.stanza;
	local ok, answer = pcall(ask, origin, {
		stage = event.stage, room = jid.bare(stanza.attr.to);
		room_requires_auth = event.room._data.allowUnauthenticatedAccess == false;
	});
	if not ok then
		module:log("error", "A join failed by an error: %s", answer);
		answer = usher.no_verdict;
	end
	if origin.destroyed then return; end
	answer = origin.usher_refused or answer;
	if answer.allow then
		count_allowed(1);
		verdicts[stanza], answer.stage = answer, event.stage;
		prosody.core_post_stanza(origin, stanza);
		verdicts[stanza] = nil; -- whoever handles it again later (a lock, a queue) asks again
	else
		(answer.unavailable and count_unavailable or count_denied)(1);
		refuse(origin, stanza, answer);
	end
end

local runner_watchers = { error = function (_, err) module:log("error", "A join failed by an error: %s", err); end };

local function gate(stage)
	return function (event)
		local origin, stanza = event.origin, event.stanza;
		local verdict = verdicts[stanza];
		-- A room that went while we asked is one that does not exist: that is another question.
		if verdict and (verdict.stage == stage or verdict.stage == "create") then return; end
		if is_exempt(origin, stanza) then
			count_exempt(1);
			module:log("info", "Not asked about %s joining %s: exempt", stanza.attr.from, stanza.attr.to);
			return;
		elseif origin.type == "s2sin" then
			refuse(origin, stanza, { condition = "not-allowed", text = "Users of other servers are not admitted here." });
			return true;
		end
		local join = { origin = origin, stanza = stanza, room = event.room, stage = stage };
		if async.ready() then
			judge(join);
		else
			async.runner(judge, runner_watchers):run(join);
		end
		return true;
	end;
end

local function applies(what, ...)
	if not apply:contains(what) then return false; end
	for _, name in ipairs { ... } do
		if prosody.hosts[module.host].modules[name] then return false; end
	end
	return true;
end

-- Past password and lobby, for whom the token says so.
local function bypass(event)
	local room, occupant, verdict = event.room, event.occupant, verdicts[event.stanza];
	if not verdict or not (verdict.room_policy or {}).security_bypass then return; end
	if not applies("room_policy", "token_security_ondemand") then return; end
	local join = event.stanza:get_child("x", muc_ns);
	if room:get_password() and join then
		join:remove_children("password", muc_ns);
		join:text_tag("password", room:get_password(), { xmlns = muc_ns });
	end
	if room:get_members_only() and not room:get_affiliation(occupant.bare_jid) then
		room:set_affiliation(true, occupant.bare_jid, "member");
		occupant.role = room:get_default_role("member");
	end
end

local function affiliate(event)
	local room, occupant, verdict = event.room, event.occupant, verdicts[event.stanza];
	local affiliation = verdict and verdict.affiliation;
	if affiliation ~= "owner" and affiliation ~= "member" then return; end
	if not applies("affiliation", "token_affiliation", "matrix_affiliation") then return; end
	local current = room:get_affiliation(occupant.bare_jid) or "none";
	if current == "outcast" or current == affiliation then return; end
	if current == "none" and room:get_members_only() then
		local join = event.stanza:get_child("x", muc_ns);
		local password = join and join:get_child_text("password", muc_ns);
		-- The lobby, or the members, decide about newcomers, unless they know the password.
		if not password or password ~= room:get_password() then return; end
	end
	room:set_affiliation(true, occupant.bare_jid, affiliation);
	occupant.role = room:get_default_role(affiliation);
end

-- Lobby rooms belong to Jitsi's mod_muc_lobby_rooms; these are its events, which nobody hears where it is not loaded.
local function set_up_room(event)
	local room, verdict = event.room, verdicts[event.stanza];
	local policy = verdict and verdict.room_policy;
	if not policy or not applies("room_policy", "token_security_ondemand") then return; end
	local has_lobby = room._data.lobbyroom ~= nil;
	if policy.lobby == true and not has_lobby then
		prosody.events.fire_event("create-lobby-room", { room = room, skip_display_name_check = true });
	elseif policy.lobby == false and has_lobby then
		room:set_members_only(false);
		prosody.events.fire_event("destroy-lobby-room", { room = room, newjid = room.jid });
	end
	if type(policy.password) == "string" then room:set_password(policy.password); end
end

local function guard_moderation(event)
	local origin, stanza = event.origin, event.stanza;
	if not moderation_needs_token or is_admin(stanza.attr.from) or origin.auth_token and origin.usher then return; end
	origin.send(st.error_reply(stanza, "cancel", "not-allowed", "Room modification disabled for guests", module.host));
	return true;
end

function module.unload()
	client.close();
end

-- 99, as upstream's check of tokens: after token_no_wildcard (100), before limits, locks and lobby.
module:hook("muc-room-pre-create", gate("create"), 99);
module:hook("muc-occupant-pre-join", gate("join"), 99);
-- Before the lobby's gate (-4), members-only (-5) and password (-20).
module:hook("muc-occupant-pre-join", bypass, -3);
module:hook("muc-occupant-pre-join", affiliate, -3.5);
module:hook("muc-occupant-joined", set_up_room);
-- Before Prosody's own handling (-2).
module:hook("iq-set/bare/http://jabber.org/protocol/muc#owner:query", guard_moderation, -1);
module:hook("iq-set/host/http://jabber.org/protocol/muc#owner:query", guard_moderation, -1);
