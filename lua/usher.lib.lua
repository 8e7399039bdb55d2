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

-- 128 random bits, for a question (the verifier remembers them for a minute, to know a repeated one from a new one), for a
-- session, and for a username: Jitsi's client takes its first eight digits for the nick, if they are hexadecimal.
function lib.new_id() return to_hex(random_bytes(16)); end

-- A header or a token may hold any byte. The verifier takes valid UTF-8 alone, so a stray byte becomes U+FFFD: no
-- token with one is well formed, and what remains is readable in the audit.
local function escaped(s)
	if s:find("^[#-Z^-~%[%] !]*$") then return s; end -- as nearly always: nothing is copied
	if not valid_utf8(s) then s = s:gsub("[\128-\255]", "\239\191\189"); end
	return (s:gsub('[%c"\\]', function (c) return ("\\u%04x"):format(c:byte()); end));
end

local members, parts = { "id", "grant", "stage", "host", "profile", "room", "tenant", "session", "previous_session",
	"remote_ip", "user_agent", "decision_id", "outcome" }, {}; -- parts: of what is being encoded

-- A question or report in three texts, built by hand at a tenth of what util.json costs. The second is the token: it is by
-- far the longest, and each copy of it costs.
function lib.encode(question)
	local n, token = 0, question.token or "";
	local before = token == "" and '{"' or '","';
	for _, name in ipairs(members) do
		local value = question[name] or "";
		if value ~= "" then parts[n + 1], parts[n + 2], parts[n + 3], parts[n + 4], n, before = before, name, '":"', escaped(value), n + 4, '","'; end
	end
	parts[n + 1] = question.room_requires_auth and before .. 'room_requires_auth":true}' or (n > 0 or token ~= "") and '"}' or "{}";
	return token == "" and "" or '{"token":"', escaped(token), table.concat(parts, "", 1, n + 1);
end

local byte, find, sub = string.byte, string.find, string.sub;

-- Reads JSON as the verifier writes it, where nothing is escaped, at a quarter of what util.json costs: texts are found by
-- their ends. Throws at nearly all else.
local function quick(text, at)
	local first, key, stop, value = byte(text, at), 0;
	if first == 34 then stop = find(text, '"', at + 1, true); return sub(text, at + 1, stop - 1), stop + 1; end -- a quote
	if first ~= 123 and first ~= 91 then -- neither { nor [
		value, stop = text:match("^([%w-]+)()", at);
		if value == "true" or value == "false" then return value == "true", stop; end
		return tonumber(value:match("^-?%d+$")) or error(), stop;
	end
	if byte(text, at + 1) == first + 2 then return {}, at + 2; end
	local list = first == 91 and {} or { a = nil, b = nil, c = nil, d = nil }; -- an object has room for four at once
	repeat
		if first == 91 then key, at = key + 1, at + 1;
		else stop = find(text, '"', at + 2, true); -- what a token signed may have spaces around its names; not here
			key, at = byte(text, at + 1) == 34 and byte(text, stop + 1) == 58 and sub(text, at + 2, stop - 1) or error(), stop + 2; end
		list[key], at = quick(text, at);
	until byte(text, at) ~= 44; -- a comma
	return byte(text, at) == first + 2 and list or error(), at + 1;
end

-- Jitsi's plugins know no json.null and would show it as a value.
local function without_null(value)
	for k, v in pairs(type(value) == "table" and value or {}) do if v == json.null then value[k] = nil; else without_null(v); end end
	return value;
end

-- Reads what stands in a text from a place on.
function lib.decode(text, at)
	local ok, value, stop = pcall(find(text, "\\", 1, true) and error or quick, text, at or 1);
	if not ok or stop ~= #text + 1 then ok, value = pcall(json.decode, text:sub(at or 1)); value = ok and without_null(value); end
	return type(value) == "table" and value or {};
end

local kinds = { features = "table", room_policy = "table", claims = "table", context = "table", revocation_keys = "table" };
kinds.grant, kinds.affiliation, kinds.recheck_at = "string", "string", "number";

-- Reads an answer; whatever is not exactly one is no verdict. A refusal has a text: what the person who was refused
-- may see, ending in the decision id that leads to the audit record.
function lib.read(status, text, at)
	local answer = (status == 200 or status == 503) and lib.decode(text, at) or {};
	for name, kind in pairs(kinds) do if answer[name] ~= nil and type(answer[name]) ~= kind then return no_verdict; end end
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

-- Who a session is: the issuer's user, else (an empty id is none) the bearer of exactly this token. Guests are nobody.
function lib.identity(session)
	local user = session.jitsi_meet_context_user or {};
	return (user.id or "") ~= "" and tostring(session.jitsi_meet_auth_issuer) .. "\0" .. tostring(user.id) or session.auth_token;
end

-- How to ask, by the module's options: ask(session, question), and the client below it, with connections of its own.
-- ask waits, so it must run where util.async can.
function lib.asker(http)
	local async, profile, file = require "util.async", module:get_option_string("usher_profile"), module:get_option_string("usher_credential_file");
	local client = { urls = module:get_option_array("usher_url", { "http://127.0.0.1:9160" }), credential = file and assert(io.open(file)):read("*l") };
	client.post = http.new(client.urls, module:get_option_number("usher_timeout", 2) or 2, client.credential);

	local function ask_once(question)
		local wait, done = async.waiter();
		question.id = lib.new_id();
		local request = client.post("/v1/verify", done, lib.encode(question));
		wait();
		local status, text = request[1], request[2];
		if status ~= 200 and status ~= 503 then module:log(status and "error" or "warn", "No verdict: %s", status and "HTTP " .. status or text); end
		return lib.read(status, text, request[3]);
	end

	return function (session, question)
		local grant, since = question.stage ~= "connect" and session.usher and session.usher.grant or nil, lib.news;
		session.usher_id, session.usher_news = session.usher_id or lib.new_id(), since;
		question.session, question.profile, question.tenant = session.usher_id, profile, session.jitsi_web_query_prefix;
		question.remote_ip, question.user_agent = session.ip, session.user_agent_header;
		question.grant, question.token = grant, not grant and session.auth_token;
		local answer = ask_once(question);
		if answer.need and grant and session.auth_token then
			question.grant, question.token = nil, session.auth_token;
			answer = ask_once(question);
			if answer.allow then lib.watch(session, since, lib.keep(answer)); end
		end
		return answer.need and no_verdict or answer;
	end, client;
end

return lib;
