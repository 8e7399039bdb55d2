-- What the modules share: the questions and answers of the wire contract, the session's fields, and how to ask.
--
-- Nothing but definitions runs when this is loaded, so that the specs read it without a Prosody around it.

local json, random_bytes, to_hex = require "util.json", require "util.random".bytes, require "util.hex".to;
-- Lua before 5.3 has no utf8 library; there Prosody's own tells.
local valid_utf8 = utf8 and utf8.len or require "util.encodings".utf8.valid;

-- What a client is told when no verdict could be had and the verifier did not say why.
local no_verdict = { unavailable = true, condition = "service-unavailable", text = "Tokens cannot be checked now. Please try again." };
-- The feed sets the last two: a count of what it has said, and watch(session, since, kept).
local lib = { no_verdict = no_verdict, news = 0, watch = function () end };

-- 64 random bits, for a session and its username, which stands in every stanza: each digit of it is read again and again.
-- Jitsi's client takes its first eight for the nick, if they are hexadecimal.
function lib.new_id() return to_hex(random_bytes(8)); end

local new_table = require "util.table".create;
local byte, find, sub = string.byte, string.find, string.sub;

-- A header or a token may hold any byte. The verifier takes valid UTF-8 alone, so a stray byte becomes U+FFFD: no
-- token with one is well formed, and what remains is readable in the audit.
local function escaped(s)
	if find(s, "^[#-Z^-~%[%] !]*$") then return s; end -- as nearly always: nothing is copied
	if not valid_utf8(s) then s = s:gsub("[\128-\255]", "\239\191\189"); end
	return json.encode(s):sub(2, -2);
end

-- A member of a question that follows another, up to the end of its text; nothing where there is none.
local function member(name, value) return (value or "") ~= "" and '","' .. name .. '":"' .. escaped(value) or ""; end

-- What stands in every question about a session, whoever asks it.
function lib.about(session, host)
	return '","host":"' .. escaped(host) .. member("tenant", session.jitsi_web_query_prefix) .. '","session":"' .. session.usher_id
		.. member("remote_ip", session.ip) .. member("user_agent", session.user_agent_header);
end

-- A question in five texts, built by hand at a tenth of what util.json costs, and put together where it is sent: each copy of a
-- token, by far the longest of them, costs, and so does each look at all of its bytes. What may not stand in JSON, and is neither a
-- quotation mark nor a backslash, makes a question that nobody can read, and is looked for where that was the answer.
function lib.encode(question, id, about, grant, token, careful)
	local room, previous, closed = question.room, question.previous_session, question.room_requires_auth;
	if token and (careful or find(token, '"', 1, true) or find(token, "\\", 1, true)) then token = escaped(token); end
	return token and '{"token":"' or "{", token or "",
		(token and '","id":"' or '"id":"') .. id .. (grant and '","grant":"' or "") .. (grant or "") .. '","stage":"' .. question.stage, about,
		(room and '","room":"' or "") .. (room and escaped(room) or "") .. (previous and '","previous_session":"' or "") .. (previous or "")
		.. (closed and '","room_requires_auth":true}' or '"}');
end

-- What became of a session that was to be put out.
function lib.report(decision, session, outcome) return json.encode { decision_id = decision, session = session, outcome = outcome }; end

-- Reads a value in lines, and says where the one behind it begins: the verifier's internal/wire has the rules. Throws where it is
-- none. Texts, of which an answer is full, are read where they are met: to call for each would cost a third more.
local function value(text, at)
	local stop, kind = find(text, "\n", at, true), byte(text, at);
	if kind == 34 then return sub(text, at + 1, stop - 1), stop + 1; end -- a quotation mark
	if (kind == 116 or kind == 102) and stop == at + 1 then return kind == 116, stop + 1; end -- t or f
	local n, open = tonumber(sub(text, kind < 58 and at or at + 1, stop - 1)), kind == 123; -- a brace, or else a bracket
	if kind < 58 then return n or error(), stop + 1; elseif n < 0 or n > #text or not open and kind ~= 91 then error(); end -- 58 is past the digits
	local held = new_table(open and 0 or n, open and n or 0);
	at = stop + 1;
	for name = 1, n do
		if open then
			stop = find(text, "\n", at, true);
			name, at = sub(text, at, stop - 1), stop + 1;
		end
		if byte(text, at) == 34 then
			stop = find(text, "\n", at, true);
			held[name], at = sub(text, at + 1, stop - 1), stop + 1;
		else held[name], at = value(text, at); end
	end
	return held, at;
end

-- Reads an object in JSON, or nothing.
function lib.decode(text)
	local ok, read = pcall(json.decode, text);
	return ok and type(read) == "table" and read or {};
end

local kinds = { features = "table", room_policy = "table", claims = "table", context = "table", revocation_keys = "table" };
kinds.grant, kinds.affiliation, kinds.recheck_at = "string", "string", "number";

-- Reads an answer; whatever is not exactly one is no verdict. A refusal has a text: what the person who was refused
-- may see, ending in the decision id that leads to the audit record.
function lib.read(status, text, at)
	if status == 200 and find(text, "^{%d", at) then -- an allow in lines
		local ok, answer, stop = pcall(value, text, at or 1);
		return ok and stop == #text + 1 and answer.allow == true and answer or no_verdict;
	end
	local answer = (status == 200 or status == 503) and lib.decode(text:sub(at or 1)) or {};
	for name, what in pairs(answer) do if kinds[name] and type(what) ~= kinds[name] then return no_verdict; end end
	local id, message, allow = tostring(answer.decision_id or ""), tostring(answer.message or ""), status ~= 503 and answer.allow;
	if status == 200 and answer.need == "token" then return answer; end
	if type(allow) ~= "boolean" or not id:find("^[%w_-]+$") then return no_verdict; end
	if allow then return answer; elseif not message:find("^%C+$") or not valid_utf8(message) then return no_verdict; end
	local unavailable, name = status == 503, "^%l[%l-]*$"; -- condition and code become names of elements
	local condition = unavailable and no_verdict.condition or tostring(answer.condition or ""):match(name) or "not-allowed";
	local shown, code = message .. " (" .. id .. ")", tostring(answer.jitsi_code or ""):match(name);
	return { unavailable = unavailable, decision_id = id, text = shown, condition = condition, jitsi_code = code };
end

-- Jitsi's plugins take an auth_token for a login.
local fields = { "auth_token", "usher", "usher_id", "jitsi_meet_room", "jitsi_meet_domain", "jitsi_meet_auth_issuer", "jitsi_meet_str_tenant",
	"jitsi_meet_context_user", "jitsi_meet_context_group", "jitsi_meet_context_features", "jitsi_meet_context_room", "jitsi_meet_tenant_mismatch" };

-- Makes what an allow leaves on a session that of another, or of a plain table: what is not there goes.
function lib.set(session, from) for _, name in ipairs(fields) do session[name] = from[name]; end end

-- What the next questions about a session need.
function lib.keep(answer) return { grant = answer.grant, keys = answer.revocation_keys or {}, recheck_at = answer.recheck_at }; end

function lib.apply(session, answer)
	local claims, context = answer.claims or {}, answer.context or {};
	session.usher, session.jitsi_meet_tenant_mismatch = lib.keep(answer), answer.tenant_mismatch;
	-- Jitsi's plugins compare this with a name; a list of rooms is the verifier's business alone.
	session.jitsi_meet_room = type(claims.room) == "string" and claims.room or nil;
	session.jitsi_meet_domain, session.jitsi_meet_auth_issuer = claims.sub, claims.iss;
	session.jitsi_meet_context_features, session.jitsi_meet_str_tenant = answer.features, context.tenant;
	session.jitsi_meet_context_user, session.jitsi_meet_context_group, session.jitsi_meet_context_room = context.user, context.group, context.room;
end

-- Who a session is: its first key is that of the issuer's user, else of exactly this token. Guests are nobody.
function lib.identity(session) return session.usher and session.usher.keys[1] or session.auth_token; end

-- How to ask, by the module's options: ask(session, question), and the client below it, with connections of its own.
-- ask waits, so it must run where util.async can.
function lib.asker(http)
	local async, file = require "util.async", module:get_option_string("usher_credential_file");
	local profile = member("profile", module:get_option_string("usher_profile"));
	local client = { urls = module:get_option_array("usher_url", { "http://127.0.0.1:9160" }), credential = file and assert(io.open(file)):read("*l") };
	client.post = http.new(client.urls, module:get_option_number("usher_timeout", 2) or 2, client.credential);
	-- The verifier remembers the ids of questions for a minute, to know a repeated one from a new one. A count costs a quarter
	-- of what as many random bits cost each time.
	local ours, asked = lib.new_id() .. "-", 0;

	local function ask_once(question, about, grant, token, careful)
		local wait, done = async.waiter();
		asked = asked + 1;
		local request = client.post("/v1/verify", done, lib.encode(question, ours .. asked, about, grant, token, careful));
		wait();
		local status, text = request[1], request[2];
		if status == 400 and token and not careful and escaped(token) ~= token then return ask_once(question, about, grant, token, true); end
		if status ~= 200 and status ~= 503 then module:log(status and "error" or "warn", "No verdict: %s", status and "HTTP " .. status or text); end
		return lib.read(status, text, request[3]);
	end

	return function (session, question)
		local login, since = question.stage == "connect", lib.news;
		session.usher_id, session.usher_news = session.usher_id or lib.new_id(), since;
		-- Kept from a login alone: of other hosts' sessions nobody hears when they come back from elsewhere. And a profile is each module's own.
		if login then session.usher_about = lib.about(session, question.host); end
		local about = profile .. (session.usher_about or lib.about(session, question.host));
		local grant = not login and session.usher and session.usher.grant;
		local answer = ask_once(question, about, grant, not grant and session.auth_token);
		if answer.need and grant and session.auth_token then
			answer = ask_once(question, about, nil, session.auth_token);
			if answer.allow then lib.watch(session, since, lib.keep(answer)); end
		end
		return answer.need and no_verdict or answer;
	end, client;
end

return lib;
