-- Who may no longer stay: follows the verifier's feed, asks again about the sessions that it puts in question, and
-- puts out those that are denied. Resumed sessions are judged here as well, by their new token.

local async, http, jid, st, now = require "util.async", require "net.http", require "util.jid", require "util.stanza", require "util.time".monotonic;
local destroy_session, urlencode, host = require "core.sessionmanager".destroy_session, require "util.http".urlencode, module.host;

return function (usher, ask, client)
	local feed, holders, eject = {}, {}, module:get_option_boolean("usher_eject", true); -- holders: revocation key → its sessions
	-- Without a cursor, as after a reload, the feed begins by asking about everybody: nothing that was in doubt is forgotten.
	local current, cursor, seen, attempts, doubt = nil, nil, 0, 0, nil;
	usher.news = now(); -- unlike what an earlier load has counted to

	local function find_room(address)
		local modules = (prosody.hosts[jid.host(address)] or {}).modules or {};
		return modules.muc and modules.muc.get_room_from_jid(jid.bare(address)), modules.muc_usher;
	end

	-- Where a session sits, and the room that is asked about for it: for a breakout room that is its main room, whose check
	-- has let the session in (Jitsi's plugin sets main). Gated are the seats that there is anything to ask about.
	local function seats(session, gated)
		local found, main = {}, session.jitsi_breakout_main_jid;
		for address in pairs(session.directed or {}) do
			local room, gate = find_room(address);
			local asked = room and gate and room.jid or main;
			if asked and prosody.events.fire_event("usher-exempt", { host = jid.host(asked), from = session.full_jid }) then asked = nil; end
			local seat = room and room:get_occupant_by_real_jid(session.full_jid) and { room = room, asked = asked, main = asked == main and main };
			if seat and (asked or not gated) then found[#found + 1] = seat; end
		end
		return found;
	end

	-- Takes a session out, under whatever nick it sits by now. Somebody's other session there has a token of its own.
	local function unseat(session, room, text)
		local me, occupant = session.full_jid, room:get_occupant_by_real_jid(session.full_jid);
		if occupant and next(occupant.sessions, (next(occupant.sessions))) then
			room:handle_normal_presence(session, st.presence { type = "unavailable", from = me, to = occupant.nick });
		elseif occupant then room:set_role(true, occupant.nick, nil, text); end
	end

	-- What a token gave a session in a room becomes what its new one gives, or goes with the session: usernames do not come back.
	local function regrade(session, where, affiliation)
		local given, stands = (session.usher_given or {})[where], where:has_occupant() or where:get_persistent();
		local user, room = jid.bare(session.full_jid), given and given ~= affiliation and stands and find_room(where.jid);
		if not room or room:get_affiliation(user) ~= given then return; end
		for _, other in pairs((prosody.bare_sessions[user] or {}).sessions or {}) do
			if other ~= session and room:get_occupant_by_real_jid(other.full_jid) then -- one person's other device
				other.usher_given = other.usher_given or {};
				other.usher_given[where] = given;
				return;
			end
		end
		local seat = room:get_occupant_by_real_jid(session.full_jid) or {};
		session.usher_given[where] = affiliation;
		room:set_affiliation(true, user, affiliation);
		-- Whom Jitsi's mod_fmuc has made a visitor remains one.
		if seat.role == "visitor" and room:get_default_role(given) ~= "visitor" then room:set_role(true, seat.nick, "visitor"); end
	end

	local function put_out(session, answer, id)
		local reason, outcome, last = { condition = "policy-violation", text = answer.text }, session.destroyed and "gone" or "ejected", now() + 2;
		local function close()
			-- The kick has used up the request that BOSH holds. The stream error needs the next one, for which a slow client takes its time.
			if session.bosh_wait and not session.hibernating and not session.requests[1] and now() < last then return 0.1; end
			session:close(reason);
			destroy_session(session, answer.text); -- on 0.12 closing does nothing to a hibernating WebSocket session
			local report = usher.report(answer.decision_id, id, session.destroyed and outcome or "failed");
			client.post("/v1/report", function () end, report);
		end
		session.usher_refused = answer; -- for joins in the meantime
		-- BOSH tells nobody that it closes: the session would hibernate and could be resumed.
		if session.bosh_wait then module:fire_event("pre-session-close", { session = session, reason = reason }); end
		-- Before the kick, at which another module can fail: that keeps nobody in.
		module:add_timer(session.bosh_wait and 0.1 or 0, close);
		for _, seat in ipairs(seats(session)) do unseat(session, seat.room, answer.text); end
	end

	local doubted = setmetatable({}, { __mode = "k" }); -- whom, and which seats, there is to ask about

	-- Asks about a session as a whole, or about one seat of it.
	local function recheck(session, seat)
		doubted[seat or session] = nil; -- what the feed says from now on is another doubt
		if session.destroyed then return; end
		local id, token, at, room = session.usher_id, session.auth_token, seat or seats(session, true)[1] or {}, seat and seat.room;
		local closed = room and room._data.allowUnauthenticatedAccess == false;
		local answer = ask(session, { stage = "recheck", host = host, room = at.asked, room_requires_auth = closed });
		if session.auth_token ~= token and not session.destroyed then return; end -- it came back with another, and is asked about by that
		if answer.unavailable then return doubt(session, seat, 2); end
		if answer.allow then session.jitsi_breakout_main_jid = at.main or session.jitsi_breakout_main_jid; usher.watch(session, usher.news);
		elseif room then unseat(session, room, answer.text); else put_out(session, answer, id); end
		-- In a breakout room it has what it has in the main one.
		if room then regrade(session, at.main and find_room(at.main) or room, answer.affiliation); end
	end

	local watchers = { error = function (_, err) module:log("error", "A session could not be asked about: %s", err); end };
	-- A few at a time: to put one out takes Prosody milliseconds, and a thousand questions that wait for that would run out of time.
	local askers, turn = {}, 0;
	for i = 1, 32 do askers[i] = async.runner(function (whom) recheck(whom[1], whom[2]); end, watchers); end
	-- Once for each, however often the feed names it before it is asked about.
	function doubt(session, seat, delay)
		if doubted[seat or session] then return; end
		doubted[seat or session], turn = true, turn % #askers + 1;
		local asker, whom = askers[turn], { session, seat };
		if delay then module:add_timer(delay, function () asker:run(whom); end); else asker:run(whom); end
	end

	local function hold(session, held)
		local kept = eject and session.usher or {};
		for _, key in ipairs(kept.keys or {}) do
			local holding = holders[key] or {};
			holding[session] = held;
			holders[key] = next(holding) and holding;
		end
		if kept.timer then kept.timer:stop(); end
		local due = held and kept.recheck_at; -- with on_expiry: close, the verifier says when a session's time is up
		kept.timer = due and module:add_timer(math.max(due - os.time(), 1), function () doubt(session); end);
	end

	-- From here on the session is asked about when the feed or its expiry says so; and at once where the feed has spoken
	-- since it was judged.
	function usher.watch(session, since, kept)
		if session.destroyed or not session.usher then return; end
		if kept then hold(session, nil); session.usher = kept; end
		hold(session, true);
		if since ~= usher.news then doubt(session); end
	end

	local function read(line)
		local item, told, doubtful = usher.decode(line), {}, {};
		seen, cursor = now(), type(item.cursor) == "string" and item.cursor or cursor;
		if item.keys or item.reset then usher.news = usher.news + 1; end
		for _, key in ipairs(item.keys or {}) do told[key] = holders[key]; end
		for _, holding in pairs(item.reset and holders or told) do for session in pairs(holding) do doubtful[session] = true; end end
		for session in pairs(doubtful) do doubt(session); end
	end

	local function connect()
		local mine, buffer, url = {}, "", client.urls[attempts % #client.urls + 1]:gsub("/+$", "") .. "/v1/feed";
		current, seen, attempts = mine, now(), attempts + 1;
		function mine.write(_, chunk)
			buffer, mine.told = (buffer .. chunk):gsub("([^\n]*)\n", function (line) pcall(read, line); return ""; end), true;
			return current == mine;
		end
		mine.request = http.request(url .. "?cursor=" .. urlencode(cursor or ""), {
			headers = { Authorization = client.credential and "Bearer " .. client.credential };
			streaming_handler = function (response) return response.code == 200 and mine or nil; end;
		}, function (body, code)
			if current == mine then current = nil; end
			local level = (mine.told or attempts == 1) and "warn" or "debug"; -- once, not each second until it is back
			module:log(level, "%s ended (%s): until it is back, sessions are not put out", url, code == 0 and body or code);
		end);
	end

	function feed.stop() http.destroy_request(current and current.request or {}); current = nil; end

	-- The new session is still whole in the first of these events on 0.12, in the second on 13. Its token is taken off it:
	-- another host's handler, Jitsi's among them, would judge it by keys that are not its own.
	local function adopt(session, from)
		if session.host ~= host or from.destroyed or not from.usher_news then return; end
		local asked, same = {}, session.auth_token == from.auth_token;
		hold(session, nil);
		session.usher_about = nil;
		-- SASL2 resumes within the login: its wait still holds the connection back, and Prosody lets it go by the session that had it.
		if session.conn then session.conn:resume(); end
		-- A guest keeps what Jitsi's mod_jitsi_permissions has lent him.
		if session.auth_token or from.auth_token then usher.set(session, from); from.auth_token = nil; end
		usher.watch(session, usher.news);
		-- By itself, for each room is asked about below: one that the new token does not open is left, and no more.
		if from.usher_news ~= usher.news then doubt(session, {}); end
		for _, seat in ipairs(seats(session, true)) do asked[seat.asked] = true; doubt(session, seat); end
		for room in pairs(session.usher_given or {}) do if not asked[room.jid] then regrade(session, room); end end -- it has left
		-- Until the token is found to open that room too. Who is between rooms with the same token is asked about nothing.
		if not same or next(asked) then session.jitsi_breakout_main_jid = nil; end
	end
	module:hook("smacks-hibernation-end", function (event) adopt(event.resumed, event.origin); end);
	module:hook_global("c2s-session-updated", function (event) adopt(event.session, event.from_session); end, 2); -- before Jitsi's, at 1
	module:hook("resource-bind", function (event) usher.watch(event.session, event.session.usher_news); end);
	module:hook("resource-unbind", function (event)
		hold(event.session, nil);
		for room in pairs(event.session.usher_given or {}) do regrade(event.session, room); end
	end, -10); -- when it has left its rooms

	if not eject then return feed; end
	for _, session in pairs(prosody.full_sessions) do if session.host == host then usher.watch(session, usher.news); end end
	module:add_timer(0, function ()
		-- A keep-alive comes every 5 s: after three of them missed the connection is dead, whatever TCP says.
		if current and now() - seen > 15 then feed.stop(); end
		if not current then connect(); end
		return 1;
	end);
	return feed;
end
