-- Who may no longer stay: follows the verifier's feed, asks again about the sessions that it puts in question, and
-- puts out those that are denied. Resumed sessions are judged here as well, by their new token.

local async, http, jid = require "util.async", require "net.http", require "util.jid";
local destroy_session = require "core.sessionmanager".destroy_session;
local now, urlencode = require "util.time".monotonic, require "util.http".urlencode;

-- A keep-alive comes every 5 s: after three of them missed the connection is dead, whatever TCP says.
local silence, host = 15, module.host;

return function (usher, ask, client)
	local feed = { news = 0 }; -- news counts what the feed has said: a login that overlaps with it is asked about again
	local holders = {}; -- revocation key → the sessions that hold it
	local current, seen, attempts, doubt = nil, 0, 0, nil;

	-- Where a session sits; gated are the rooms that it was asked about.
	local function seats(session, gated)
		local found = {};
		for address in pairs(session.directed or {}) do
			local modules = (prosody.hosts[jid.host(address)] or {}).modules or {};
			local room = modules.muc and (modules.muc_usher or not gated) and modules.muc.get_room_from_jid(jid.bare(address));
			local occupant = room and room:get_occupant_by_real_jid(session.full_jid);
			if occupant then found[#found + 1] = { room = room, nick = occupant.nick }; end
		end
		return found;
	end

	local function put_out(session, answer, id)
		local reason = { condition = "policy-violation", text = answer.text };
		local outcome = session.destroyed and "gone" or "ejected";
		local function close()
			if not session.destroyed then session:close(reason); end
			-- On 0.12 that does nothing to a hibernating WebSocket session.
			if not session.destroyed then destroy_session(session, answer.text); end
			local report = { decision_id = answer.decision_id, session = id, outcome = session.destroyed and outcome or "failed" };
			client.post("/v1/report", usher.encode(report), function () end);
		end
		for _, seat in ipairs(seats(session)) do seat.room:set_role(true, seat.nick, nil, answer.text); end
		session.usher_refused = answer; -- refuses joins in the meantime
		if session.destroyed or not session.bosh_wait then return close(); end
		-- BOSH: the kick has used up the held request, and the stream error needs the next one. BOSH tells nobody that it
		-- closes, so that the session would hibernate and could be resumed.
		module:fire_event("pre-session-close", { session = session, reason = reason });
		module:add_timer(0.3, close);
	end

	-- Asks about a session as a whole, or about one seat of it.
	local function recheck(session, seat)
		local id, since = session.usher_id, feed.news;
		local room = (seat or seats(session, true)[1] or {}).room;
		local answer, renewed = ask(session, {
			stage = "recheck", host = host, room = room and room.jid;
			room_requires_auth = seat and room._data.allowUnauthenticatedAccess == false;
		});
		if answer.unavailable then
			module:add_timer(2, function () if not session.destroyed then doubt(session, seat); end end);
		elseif answer.allow then
			feed.watch(session, since, renewed and usher.keep(answer));
		elseif seat then
			room:set_role(true, seat.nick, nil, answer.text);
		else
			put_out(session, answer, id);
		end
	end

	local watchers = { error = function (_, err) module:log("error", "A session could not be asked about: %s", err); end };
	function doubt(session, seat) async.runner(function () recheck(session, seat); end, watchers):run(true); end

	local function hold(session, held)
		local kept = session.usher or {};
		for _, key in ipairs(kept.keys or {}) do
			local set = holders[key] or {};
			set[session] = held;
			holders[key] = next(set) and set;
		end
		if kept.timer then kept.timer:stop(); end
		local due = held and kept.recheck_at; -- with on_expiry: close, the verifier says when a session's time is up
		kept.timer = due and module:add_timer(math.max(due - os.time(), 1), function () doubt(session); end);
	end

	-- From here on the session is asked about when the feed or its expiry says so. since: the news when it was judged.
	function feed.watch(session, since, kept)
		if session.destroyed or not session.usher then return; end
		hold(session, nil);
		session.usher = kept or session.usher;
		hold(session, true);
		if since ~= feed.news then doubt(session); end
	end

	local function read(line)
		local item, doubtful = usher.decode(line) or {}, {};
		seen, feed.cursor = now(), item.cursor or feed.cursor;
		if not item.keys and not item.reset then return; end
		feed.news = feed.news + 1;
		for _, set in pairs(item.reset and holders or {}) do
			for session in pairs(set) do doubtful[session] = true; end
		end
		for _, key in ipairs(item.keys or {}) do
			for session in pairs(holders[key] or {}) do doubtful[session] = true; end
		end
		for session in pairs(doubtful) do doubt(session); end
	end

	local function connect()
		local mine, buffer, url = {}, "", client.urls[attempts % #client.urls + 1] .. "/v1/feed";
		current, seen, attempts = mine, now(), attempts + 1;
		local sink = {};
		function sink:write(chunk) -- luacheck: ignore 212/self
			if current ~= mine then return nil; end
			buffer = (buffer .. chunk):gsub("([^\n]*)\n", function (line) read(line); return ""; end);
			return true;
		end
		mine.request = http.request(url .. (feed.cursor and "?cursor=" .. urlencode(feed.cursor) or ""), {
			headers = { Authorization = client.credential and "Bearer " .. client.credential };
			streaming_handler = function (response) return response.code == 200 and sink or nil; end;
		}, function (body, code)
			if current ~= mine then return; end
			current = nil;
			module:log("warn", "The feed of %s ended (%s); sessions are not put out until it is back", url, code == 0 and body or code);
		end);
	end

	function feed.stop()
		if current and current.request then http.destroy_request(current.request); end
		current = nil;
	end

	-- On 0.12 the new session is still whole in the first event, on 13 in the second.
	local function adopt(session, from)
		if session.host ~= host or from.destroyed or not from.usher_news then return; end
		hold(session, nil);
		usher.set(session, from);
		session.usher_id = from.usher_id;
		feed.watch(session, from.usher_news);
		for _, seat in ipairs(seats(session, true)) do doubt(session, seat); end
	end
	module:hook("smacks-hibernation-end", function (event) adopt(event.resumed, event.origin); end);
	module:hook_global("c2s-session-updated", function (event) adopt(event.session, event.from_session); end);
	module:hook("resource-bind", function (event) feed.watch(event.session, event.session.usher_news); end);
	module:hook("resource-unbind", function (event) hold(event.session, nil); end);

	if not module:get_option_boolean("usher_eject", true) then return feed; end
	for _, user in pairs(prosody.hosts[host].sessions) do
		for _, session in pairs(user.sessions) do feed.watch(session, feed.news); end
	end
	module:add_timer(0.1, function ()
		if current and now() - seen > silence then feed.stop(); end
		if not current then connect(); end
		return 1;
	end);
	return feed;
end
