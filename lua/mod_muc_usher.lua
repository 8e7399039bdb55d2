-- Lets into rooms whom the usher verifier lets in.
--
--   Component "conference.meet.example.com" "muc"
--       modules_enabled = { "muc_usher" }

local async, jid, st = require "util.async", require "util.jid", require "util.stanza";
local usermanager = require "core.usermanager";
-- Neither wrong options nor a missing file may take the gate away: then nobody comes in.
local can_ask, ask_directly = pcall(function () return module:require "usher".asker(module:require "usher_http"); end);
local no_verdict = { unavailable = true, condition = "service-unavailable", text = "Tokens cannot be checked now. Please try again." };
if not can_ask then module:log("error", "Nobody can be asked about: %s", ask_directly); end

local host, muc_ns, jitsi_ns = module.host, "http://jabber.org/protocol/muc", "http://jitsi.org/jitmeet";
local allowlist = module:get_option_set("usher_allowlist", {}) + module:get_option_set("token_verification_allowlist", {});
local s2s_allow, apply = module:get_option_set("usher_s2s_allow", {}), module:get_option_set("usher_apply", { "affiliation", "room_policy" });
local moderation_needs_token = module:get_option_boolean("token_verification_require_token_for_moderation");
-- With s2s_bidi other servers' stanzas come by the streams that we opened, too.
local remote = { s2sin = true, s2sout = true };
-- The verdicts are those on the joins that are being redone, by their stanza.
local nothing, count_exempt, verdicts = {}, module:measure("exempt", "counter"), setmetatable({}, { __mode = "k" });

local function is_admin(address)
	if not usermanager.get_jid_role then return usermanager.is_admin(address, host); end
	local role = usermanager.get_jid_role(address, host) or {}; -- 13's is_admin logs a traceback at each call
	return role.name == "prosody:admin" or role.name == "prosody:operator";
end

local function exempts(from)
	local bare = jid.bare(from);
	return is_admin(bare) or allowlist:contains(bare) or allowlist:contains(jid.host(bare));
end

local function is_exempt(origin, from, noted)
	-- A name that a login has drawn by chance is on no list: of its bearer the host alone can be.
	if from == origin.full_jid and origin.username == origin.usher_id and not allowlist:contains(origin.host) then return false; end
	local exempt = exempts(from) or remote[origin.type] and s2s_allow:contains(jid.host(from));
	if exempt and not noted then count_exempt(1); module:log("info", "%s is exempt from being asked about", from); end
	return exempt;
end

local function refuse(origin, stanza, answer)
	local reply = st.error_reply(stanza, answer.unavailable and "wait" or "cancel", answer.condition, answer.text, jid.bare(stanza.attr.to));
	if answer.jitsi_code then reply:tag(answer.jitsi_code, { xmlns = jitsi_ns }); end
	-- As in the examples of XEP-0045, section 7.2: slixmpp knows by it that a join failed, and else waits for ever.
	origin.send(reply:reset():tag("x", { xmlns = muc_ns }));
	return true;
end

-- Prosody's way through a join is deep, and a stack that has to be doubled for it costs more than a question. So this has few
-- variables of its own, and is reached from the hook by tail calls alone.
local function redo(origin, stanza, verdict)
	verdicts[stanza] = verdict;
	prosody.core_post_stanza(origin, stanza);
	verdicts[stanza] = nil; -- whoever takes the stanza up again later (a lock, a queue) has it judged again
	return true;
end

-- Waiting inside the hook and then going on would go on with what was true before: two first joins would make two
-- rooms. So a join is judged, and then its stanza is handled once more from the start, with the verdict at hand.
local function judge(origin, stanza, question)
	local token, modules = origin.auth_token, (prosody.hosts[question.host] or nothing).modules or nothing;
	-- The host that let a session in asks for it; a session of no such host shows what it has.
	local ok, answer = pcall(modules.auth_usher and modules.auth_usher.ask or ask_directly, origin, question);
	if not ok then module:log("error", "A join failed by an error: %s", answer); end
	answer = origin.usher_refused or ok and answer or no_verdict;
	if origin.destroyed then return true; elseif origin.auth_token ~= token then return judge(origin, stanza, question); end -- it came back with another
	if not answer.allow then return refuse(origin, stanza, answer); end
	-- Prosody may have noted a tenant's name for the room, which Jitsi's mapper has since turned into the room's own.
	if origin.directed then origin.directed[stanza.attr.to] = true; end
	answer.stage = question.stage;
	return redo(origin, stanza, answer);
end

local watchers = { error = function (_, err) module:log("error", "A join failed by an error: %s", err); end };

-- Has a join judged, unless it has been: then nothing is returned, and it goes on.
local function hold(origin, stanza, stage, address, room)
	local verdict = verdicts[stanza];
	-- A room that went while we asked is one that does not exist, which is another question.
	if verdict and (verdict.stage == stage or verdict.stage == "create") then return; end
	if is_exempt(origin, stanza.attr.from, verdict) then verdicts[stanza] = verdict or {}; return; end -- for no stage, so it is looked at again
	if remote[origin.type] then return refuse(origin, stanza, { condition = "not-allowed", text = "Users of other servers are not admitted." }); end
	local question = { stage = stage, host = origin.host or host, room = address,
		room_requires_auth = room and room._data.allowUnauthenticatedAccess == false };
	-- Who sets another's join going (a focus whose arrival opens the room) must not wait for it in the midst of his own.
	if (origin.thread or {}).thread == coroutine.running() then return judge(origin, stanza, question); end
	async.runner(function () judge(origin, stanza, question); end, watchers):run(true);
	return true;
end

local function gate(stage)
	return function (event) return hold(event.origin, event.stanza, stage, event.room.jid, event.room); end;
end

-- What will be a join is judged before Prosody makes a room and an occupant for it (at -2), which it would do again. What else
-- becomes one, and what was left to a module's own way of joining, the gates below hold.
local function foresee(event)
	local stanza, muc = event.stanza, prosody.hosts[host].modules.muc;
	if not muc or verdicts[stanza] or stanza.attr.type or not stanza:get_child("x", muc_ns) then return; end
	local address = jid.bare(stanza.attr.to);
	local room = muc.get_room_from_jid(address);
	if room == false or room and (room._data.destroyed or room:get_occupant_by_real_jid(stanza.attr.from)) then return; end
	return hold(event.origin, stanza, room and "join" or "create", address, room);
end

-- Whether something is ours to do, and not that of a Jitsi module that is loaded.
local function applies(what, other) return apply:contains(what) and not prosody.hosts[host].modules[other]; end

local function settle_in(event)
	local room, occupant, verdict = event.room, event.occupant, verdicts[event.stanza] or {};
	-- What comes last is a refusal: for a lock (-30), or for the nick of the occupant whom we are handed then.
	local locked = not event.is_new_room and (room._data.locked or 0) > os.time();
	if locked or next(occupant.sessions) and occupant.bare_jid ~= jid.bare(event.stanza.attr.from) then return; end
	local secret, join = room:get_password(), event.stanza:get_child("x", muc_ns);
	local knows = secret and join and join:get_child_text("password", muc_ns) == secret;
	local current, affiliation = room:get_affiliation(occupant.bare_jid), applies("affiliation", "token_affiliation") and verdict.affiliation;
	-- The role that another module has chosen stays: Jitsi's mod_fmuc makes visitors.
	local newcomer, chosen = not current and room:get_members_only(), occupant.role ~= room:get_default_role(current) and occupant.role;
	-- Past password and lobby, for whom the token says so.
	if applies("room_policy", "token_security_ondemand") and (verdict.room_policy or nothing).security_bypass then
		if secret and join and not knows then join:remove_children("password", muc_ns):text_tag("password", secret, { xmlns = muc_ns }); end
		affiliation = affiliation or newcomer and "member";
	elseif (newcomer or secret) and not knows then
		verdict.waits, affiliation = true, nil; -- a lobby, its members or the password decide: who is refused shall be nobody here
	end
	if not affiliation or current == "outcast" or current == affiliation and verdict.stage ~= "create" then return; end
	local given, role = event.origin.usher_given or {}, chosen or room:get_default_role(affiliation);
	for other in pairs(given) do if not other:has_occupant() and not other:get_persistent() then given[other] = nil; end end -- it is gone
	event.origin.usher_given, given[room] = given, affiliation;
	if current ~= affiliation then room:set_affiliation(true, occupant.bare_jid, affiliation); occupant.role = role; end
end

-- Lobby rooms are made by Jitsi's mod_muc_lobby_rooms; these are its events, which nobody hears where it is not loaded.
local function set_up_room(event)
	local room, policy = event.room, (verdicts[event.stanza] or nothing).room_policy or nothing;
	if not applies("room_policy", "token_security_ondemand") then return; end
	local lobby, fire = room._data.lobbyroom, prosody.events.fire_event;
	if policy.lobby == true and not lobby then fire("create-lobby-room", { room = room, skip_display_name_check = true }); end
	if policy.lobby == false and lobby then room:set_members_only(false); fire("destroy-lobby-room", { room = room, newjid = room.jid }); end
	if type(policy.password) == "string" then room:set_password(policy.password); end
end

local function guard_moderation(event)
	if not moderation_needs_token or is_admin(jid.bare(event.stanza.attr.from)) or event.origin.usher then return; end
	return refuse(event.origin, event.stanza, { condition = "not-allowed", text = "Guests may not change this room." });
end

-- mod_auth_usher asks again about those who are inside, but not about whom nobody has asked about at the door.
module:hook_global("usher-exempt", function (event) return event.host == host and exempts(event.from) or nil; end);
module:hook("presence/full", foresee, -1);
-- 99, as upstream's check of tokens: after token_no_wildcard (100), before limits, locks and lobby.
module:hook("muc-room-pre-create", gate("create"), 99);
module:hook("muc-occupant-pre-join", gate("join"), 99);
-- After other modules' bypasses (-2, -3), before the lobby's gate (-4), members-only (-5) and password (-20); and after these for
-- whom they decide, to whom another module may give the password meanwhile (-7). What others change in between stays for the rest.
module:hook("muc-occupant-pre-join", settle_in, -3.5);
module:hook("muc-occupant-pre-join", function (event) if (verdicts[event.stanza] or {}).waits then settle_in(event); end end, -21);
module:hook("muc-occupant-joined", set_up_room);
module:hook("muc-occupant-pre-leave", function (event) (event.origin.directed or {})[event.stanza.attr.to] = nil; end); -- what judge noted
-- Before Prosody's own handling (-2).
for _, to in ipairs { "bare", "host" } do module:hook("iq-set/" .. to .. "/" .. muc_ns .. "#owner:query", guard_moderation, -1); end
