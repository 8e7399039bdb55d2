-- What the modules share: the questions and answers of the wire contract, the session's fields, and how to ask.
--
-- Nothing but definitions runs when this is loaded, so that the specs read it without a Prosody around it.

local json, random_bytes = require "util.json", require "util.random".bytes;
-- Lua before 5.3 has no utf8 library; there Prosody's own tells.
local valid_utf8 = utf8 and utf8.len or require "util.encodings".utf8.valid;

-- What a client is told when no verdict could be had and the verifier did not say why.
local no_verdict = { unavailable = true, text = "Tokens cannot be checked at the moment. Please try again." };
local lib = { no_verdict = no_verdict };

-- 128 random bits: the verifier remembers ids for a minute, to know a repeated question from a new one.
local function new_id() return (("%02x"):rep(16):format(random_bytes(16):byte(1, 16))); end

local escapes = { ['"'] = '\\"', ["\\"] = "\\\\" };
for i = 0, 31 do escapes[string.char(i)] = ("\\u%04x"):format(i); end

-- A header or a token may hold any byte. The verifier takes valid UTF-8 alone, so a stray byte becomes U+FFFD: no
-- token with one is well formed, and what remains is readable in the audit.
local function quote(s)
	if not valid_utf8(s) then s = s:gsub("[\128-\255]", "\239\191\189"); end
	return '"' .. s:gsub('[%c"\\]', escapes) .. '"';
end

local members = {
	"id", "token", "grant", "stage", "host", "profile", "room", "tenant", "session", "previous_session", "remote_ip";
	"user_agent", "decision_id", "outcome";
};

-- A question or report, built by hand at a fifth of what util.json costs.
function lib.encode(question)
	local out = {};
	for _, name in ipairs(members) do
		local value = question[name];
		if type(value) == "string" and value ~= "" then out[#out + 1] = '"' .. name .. '":' .. quote(value); end
	end
	if question.room_requires_auth then out[#out + 1] = '"room_requires_auth":true'; end
	return "{" .. table.concat(out, ",") .. "}";
end

-- Jitsi's plugins know no json.null and would show it as a value.
local function without_null(value)
	for k, v in pairs(value) do
		if v == json.null then value[k] = nil; elseif type(v) == "table" then without_null(v); end
	end
	return value;
end

function lib.decode(text)
	local ok, value = pcall(json.decode, text);
	return ok and type(value) == "table" and value ~= json.null and without_null(value) or nil;
end

local kinds = {
	allow = "boolean", decision_id = "string", message = "string", condition = "string", jitsi_code = "string";
	grant = "string", features = "table", affiliation = "string", room_policy = "table", claims = "table";
	context = "table", tenant_mismatch = "boolean", recheck_at = "number", revocation_keys = "table";
};

-- Reads an answer; whatever is not exactly one is no verdict. A refusal gets a text: what the person who was refused
-- may see, ending in the decision id that leads to the audit record.
function lib.read(status, body)
	local answer = (status == 200 or status == 503) and lib.decode(body) or {};
	for name, kind in pairs(kinds) do
		if answer[name] ~= nil and type(answer[name]) ~= kind then return no_verdict; end
	end
	local id, message, allow = answer.decision_id, answer.message, answer.allow;
	if status == 503 then allow = false; elseif answer.need == "token" then return answer; end
	if allow == nil or not id or id:find("[^%w_-]") then return no_verdict; end
	if allow then return answer; end
	if not message or message:find("%c") or not valid_utf8(message) then return no_verdict; end
	-- The last two become element names.
	return {
		text = message .. " (" .. id .. ")", unavailable = status == 503, decision_id = id;
		condition = (answer.condition or ""):match("^%l[%l-]*$") or "not-allowed";
		jitsi_code = (answer.jitsi_code or ""):match("^%l[%l-]*$");
	};
end

-- What an allow leaves on the session. auth_token comes first: Jitsi's plugins take it for "has logged in".
local fields = {
	"auth_token", "jitsi_meet_room", "jitsi_meet_domain", "jitsi_meet_auth_issuer", "jitsi_meet_str_tenant", "usher";
	"jitsi_meet_context_user", "jitsi_meet_context_group", "jitsi_meet_context_features", "jitsi_meet_context_room";
	"jitsi_meet_tenant_mismatch";
};

-- Makes a session's fields those of another, or of a plain table: what is not there goes.
function lib.set(session, from)
	for _, field in ipairs(fields) do session[field] = from[field]; end
end

-- What the next questions about a session need.
function lib.keep(answer)
	return { grant = answer.grant, keys = answer.revocation_keys or {}, recheck_at = answer.recheck_at };
end

function lib.apply(session, answer)
	local claims, context = answer.claims or {}, answer.context or {};
	lib.set(session, {
		auth_token = session.auth_token, usher = lib.keep(answer);
		-- Jitsi's plugins compare this with a name; a list of rooms is the verifier's business alone.
		jitsi_meet_room = type(claims.room) == "string" and claims.room or nil;
		jitsi_meet_domain = claims.sub, jitsi_meet_auth_issuer = claims.iss, jitsi_meet_str_tenant = context.tenant;
		jitsi_meet_context_user = context.user, jitsi_meet_context_group = context.group;
		jitsi_meet_context_features = answer.features, jitsi_meet_context_room = context.room;
		jitsi_meet_tenant_mismatch = answer.tenant_mismatch;
	});
end

-- Who a session is: the issuer's user, else the bearer of exactly this token. Guests are nobody.
function lib.identity(session)
	local user = session.jitsi_meet_context_user;
	if not session.auth_token or type(user) ~= "table" or user.id == nil then return session.auth_token; end
	return tostring(session.jitsi_meet_auth_issuer) .. "\0" .. tostring(user.id);
end

-- How to ask, by the module's options: ask(session, question), and the client below it, with connections of its own.
-- ask waits, so it must run where util.async can; it returns the answer, and whether the grant was renewed for it.
function lib.asker(http)
	local async = require "util.async";
	local profile, file = module:get_option_string("usher_profile"), module:get_option_string("usher_credential_file");
	local handle = file and io.open(file);
	local client = { credential = handle and handle:read("*l"), urls = {} };
	if handle then handle:close(); end
	if file and not client.credential then module:log("error", "Cannot read usher_credential_file %s", file); end
	for i, url in ipairs(module:get_option_array("usher_url", { "http://127.0.0.1:9160" })) do
		client.urls[i] = url:gsub("/+$", "");
	end
	client.post = http.new(client.urls, module:get_option_number("usher_timeout", 2), client.credential);

	local function ask_once(question)
		local wait, done = async.waiter();
		local status, body;
		question.id = new_id();
		client.post("/v1/verify", lib.encode(question), function (...)
			status, body = ...;
			done();
		end);
		wait();
		if not status then
			module:log("warn", "No verdict from the verifier: %s", body);
		elseif status ~= 200 and status ~= 503 then
			module:log("error", "The verifier refuses to be asked (HTTP %d): see its log, and usher_credential_file", status);
		end
		return lib.read(status, body);
	end

	return function (session, question)
		session.usher_id = session.usher_id or new_id();
		question.session, question.profile, question.tenant = session.usher_id, profile, session.jitsi_web_query_prefix;
		question.remote_ip, question.user_agent = session.ip, session.user_agent_header;
		question.grant = question.stage ~= "connect" and session.usher and session.usher.grant or nil;
		question.token = not question.grant and session.auth_token or nil;
		local answer, renewed = ask_once(question), nil;
		if answer.need and question.grant and session.auth_token then
			question.grant, question.token = nil, session.auth_token;
			answer = ask_once(question);
			renewed = answer.allow;
		end
		return answer.need and no_verdict or answer, renewed;
	end, client;
end

return lib;
