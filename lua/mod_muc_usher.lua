-- Lets into rooms whom the usher verifier lets in.
--
--   Component "conference.meet.example.com" "muc"
--       modules_enabled = { "muc_usher" }

local async, jid, st = require "util.async", require "util.jid", require "util.stanza";
local usermanager = require "core.usermanager";
local usher = module:require "usher";
local ask_directly = usher.asker(module:require "usher_http");

local host = module.host;
local allowlist = module:get_option_set("usher_allowlist", {}) + module:get_option_set("token_verification_allowlist", {});
local s2s_allow = module:get_option_set("usher_s2s_allow", {});
local apply = module:get_option_set("usher_apply", { "affiliation", "room_policy" });
local moderation_needs_token = module:get_option_boolean("token_verification_require_token_for_moderation");
local count_exempt = module:measure("exempt", "counter");
local muc_ns, jitsi_ns = "http://jabber.org/protocol/muc", "http://jitsi.org/jitmeet";

local verdicts = setmetatable({}, { __mode = "k" }); -- on the joins that are being redone, by their stanza

local function is_admin(address)
	if not usermanager.get_jid_role then return usermanager.is_admin(address, host); end
	local role = usermanager.get_jid_role(jid.bare(address), host); -- from 13 on is_admin logs a traceback at each call
	return role and (role.name == "prosody:admin" or role.name == "prosody:operator");
end

local function is_exempt(origin, from)
	local domain = jid.host(from);
	return is_admin(from) or allowlist:contains(domain) or allowlist:contains(jid.bare(from))
		or origin.type == "s2sin" and s2s_allow:contains(domain);
end

local function refuse(origin, stanza, answer)
	local kind, condition = "cancel", answer.condition;
	if answer.unavailable then kind, condition = "wait", "service-unavailable"; end
	local reply = st.error_reply(stanza, kind, condition, answer.text, jid.bare(stanza.attr.to));
	if answer.jitsi_code then reply:tag(answer.jitsi_code, { xmlns = jitsi_ns }); end
	origin.send(reply);
	return true;
end

-- The host that let a session in asks for it; a session of no such host shows what it has.
local function ask(origin, question)
	question.host = origin.host or host;
	local event = { session = origin, question = question };
	local answer = prosody.hosts[question.host] and prosody.hosts[question.host].events.fire_event("usher-ask", event);
	return answer or ask_directly(origin, question);
end

-- Waiting inside the hook and then going on would go on with what was true before: two first joins would make two
-- rooms. So a join is judged, and then its stanza is handled once more from the start, with the verdict at hand.
local function judge(join)
	local origin, stanza = join.origin, join.stanza;
	local ok, answer = pcall(ask, origin, join.question);
	if not ok then module:log("error", "A join failed by an error: %s", answer); end
	answer = origin.usher_refused or ok and answer or usher.no_verdict;
	if origin.destroyed then return; end
	if not answer.allow then return refuse(origin, stanza, answer); end
	answer.stage = join.question.stage;
	verdicts[stanza] = answer;
	prosody.core_post_stanza(origin, stanza);
	verdicts[stanza] = nil; -- whoever takes the stanza up again later (a lock, a queue) has it judged again
end

local watchers = { error = function (_, err) module:log("error", "A join failed by an error: %s", err); end };

local function gate(stage)
	return function (event)
		local origin, stanza = event.origin, event.stanza;
		local verdict = verdicts[stanza];
		-- A room that went while we asked is one that does not exist, which is another question.
		if verdict and (verdict.stage == stage or verdict.stage == "create") then return; end
		if is_exempt(origin, stanza.attr.from) then
			count_exempt(1);
			module:log("info", "%s joins %s and is exempt", stanza.attr.from, stanza.attr.to);
			return;
		elseif origin.type == "s2sin" then
			return refuse(origin, stanza, { condition = "not-allowed", text = "Users of other servers are not admitted." });
		end
		local join = { origin = origin, stanza = stanza, question = {
			stage = stage, room = jid.bare(stanza.attr.to);
			room_requires_auth = event.room._data.allowUnauthenticatedAccess == false;
		} };
		if async.ready() then judge(join); else async.runner(judge, watchers):run(join); end
		return true;
	end;
end

-- A hook that does what a verdict says, unless a module of these names is there to do it.
local function applying(what, others, fn)
	return function (event)
		local verdict = verdicts[event.stanza];
		for _, name in ipairs(others) do
			if prosody.hosts[host].modules[name] then return; end
		end
		if verdict and apply:contains(what) then
			fn(event.room, event.occupant, verdict, event.stanza:get_child("x", muc_ns));
		end
	end;
end

local function affiliate(room, occupant, affiliation)
	room:set_affiliation(true, occupant.bare_jid, affiliation);
	occupant.role = room:get_default_role(affiliation);
end

-- Past password and lobby, for whom the token says so.
local bypass = applying("room_policy", { "token_security_ondemand" }, function (room, occupant, verdict, join)
	if not (verdict.room_policy or {}).security_bypass then return; end
	if room:get_password() and join then
		join:remove_children("password", muc_ns);
		join:text_tag("password", room:get_password(), { xmlns = muc_ns });
	end
	if room:get_members_only() and not room:get_affiliation(occupant.bare_jid) then affiliate(room, occupant, "member"); end
end);

local grant_affiliation = applying("affiliation", { "token_affiliation" }, function (room, occupant, verdict, join)
	local current, affiliation = room:get_affiliation(occupant.bare_jid) or "none", verdict.affiliation;
	if not affiliation or current == "outcast" or current == affiliation then return; end
	local password = join and join:get_child_text("password", muc_ns);
	-- About newcomers to a members-only room its lobby or its members decide, unless they know the password.
	if current == "none" and room:get_members_only() and (not password or password ~= room:get_password()) then return; end
	affiliate(room, occupant, affiliation);
end);

-- Lobby rooms are made by Jitsi's mod_muc_lobby_rooms; these are its events, which nobody hears where it is not loaded.
local set_up_room = applying("room_policy", { "token_security_ondemand" }, function (room, _, verdict)
	local policy, lobby = verdict.room_policy or {}, room._data.lobbyroom;
	if policy.lobby == true and not lobby then
		prosody.events.fire_event("create-lobby-room", { room = room, skip_display_name_check = true });
	elseif policy.lobby == false and lobby then
		room:set_members_only(false);
		prosody.events.fire_event("destroy-lobby-room", { room = room, newjid = room.jid });
	end
	if type(policy.password) == "string" then room:set_password(policy.password); end
end);

local function guard_moderation(event)
	local origin, stanza = event.origin, event.stanza;
	if not moderation_needs_token or is_admin(stanza.attr.from) or origin.auth_token and origin.usher then return; end
	return refuse(origin, stanza, { condition = "not-allowed", text = "Room modification disabled for guests" });
end

-- 99, as upstream's check of tokens: after token_no_wildcard (100), before limits, locks and lobby.
module:hook("muc-room-pre-create", gate("create"), 99);
module:hook("muc-occupant-pre-join", gate("join"), 99);
-- Before the lobby's gate (-4), members-only (-5) and password (-20).
module:hook("muc-occupant-pre-join", bypass, -3);
module:hook("muc-occupant-pre-join", grant_affiliation, -3.5);
module:hook("muc-occupant-joined", set_up_room);
-- Before Prosody's own handling (-2).
module:hook("iq-set/bare/http://jabber.org/protocol/muc#owner:query", guard_moderation, -1);
module:hook("iq-set/host/http://jabber.org/protocol/muc#owner:query", guard_moderation, -1);
