-- What both modules share: the questions and answers of the wire contract, the session's fields, texts and options.
--
-- Nothing but definitions runs when this is loaded, so that the specs read it without a Prosody around it.

local json = require "util.json";
local random_bytes = require "util.random".bytes;
-- Lua 5.1 and 5.2 have no utf8 library; there Prosody's own tells.
local valid_utf8 = utf8 and utf8.len or require "util.encodings".utf8.valid;

local lib = {};

-- What a client is told when no verdict could be had and the verifier did not say why.
local no_verdict = { unavailable = true, text = "Tokens cannot be checked at the moment. Please try again." };
lib.no_verdict = no_verdict;

-- 128 random bits: the verifier remembers ids for a minute, to know a repeated question from a new one.
function lib.new_id()
	return (("%02x"):rep(16):format(random_bytes(16):byte(1, 16)));
end

local escapes = { ['"'] = '\\"', ["\\"] = "\\\\" };
for i = 0, 31 do escapes[string.char(i)] = ("\\u%04x"):format(i); end

-- A header or a token may hold any byte. The verifier takes valid UTF-8 alone, so a stray byte becomes U+FFFD: no
-- token with one is well formed, and what remains is readable in the audit.
local function quote(s)
	if not valid_utf8(s) then s = s:gsub("[\128-\255]", "\239\191\189"); end
	return '"' .. s:gsub('[%c"\\]', escapes) .. '"';
end

local members = {
	"id", "token", "grant", "stage", "host", "profile", "room", "tenant", "session", "previous_session", "remote_ip",
	"user_agent", "decision_id", "outcome",
};

-- Built by hand, at a fifth of what util.json costs; the names are those of the wire contract.
function lib.encode(question)
	local out = {};
	for _, name in ipairs(members) do
		local value = question[name];
		if type(value) == "string" and value ~= "" then
			out[#out + 1] = '"' .. name .. '":' .. quote(value);
		end
	end
	if question.room_requires_auth then
		out[#out + 1] = '"room_requires_auth":true';
	end
	return "{" .. table.concat(out, ",") .. "}";
end

-- Jitsi's plugins know no json.null and would show it as a value.
local function without_null(value)
	if type(value) ~= "table" then return value; end
	for k, v in pairs(value) do
		if v == json.null then value[k] = nil; else without_null(v); end
	end
	return value;
end

function lib.decode(text)
	local ok, value = pcall(json.decode, text);
	return ok and type(value) == "table" and value ~= json.null and without_null(value) or nil;
end

local kinds = {
	decision_id = "string", message = "string", condition = "string", jitsi_code = "string", grant = "string",
	features = "table", affiliation = "string", room_policy = "table", claims = "table", context = "table",
	tenant_mismatch = "boolean", expires_at = "number", recheck_at = "number", revocation_keys = "table",
};

-- Reads an answer; whatever is not exactly one is no verdict. The answer comes back with `text`: what the person
-- who was refused may see, ending in the decision id that leads to the audit record.
function lib.read(status, body)
	local answer = (status == 200 or status == 503) and lib.decode(body);
	if not answer then return no_verdict; end
	for name, kind in pairs(kinds) do
		if answer[name] ~= nil and type(answer[name]) ~= kind then return no_verdict; end
	end
	if status == 200 and answer.need == "token" then return answer; end
	if not answer.decision_id or answer.decision_id:find("[^%w_-]") then return no_verdict; end
	if answer.allow and status == 200 then return answer.allow == true and answer or no_verdict; end
	if not answer.message or answer.message:find("%c") or not valid_utf8(answer.message) then return no_verdict; end
	answer.text = answer.message .. " (" .. answer.decision_id .. ")";
	answer.unavailable = status == 503 or nil;
	if status == 200 and answer.allow ~= false then return no_verdict; end
	-- These become element names.
	if not (answer.condition or ""):find("^%l[%l-]*$") then answer.condition = "not-allowed"; end
	if not (answer.jitsi_code or ""):find("^%l[%l-]*$") then answer.jitsi_code = nil; end
	return answer;
end

-- What an allow leaves on the session. auth_token comes first: Jitsi's plugins take it for "has logged in".
local fields = {
	"auth_token", "jitsi_meet_room", "jitsi_meet_domain", "jitsi_meet_auth_issuer", "jitsi_meet_str_tenant",
	"jitsi_meet_context_user", "jitsi_meet_context_group", "jitsi_meet_context_features", "jitsi_meet_context_room",
	"jitsi_meet_tenant_mismatch", "usher",
};

function lib.copy(session, from)
	for _, field in ipairs(fields) do
		session[field] = from[field];
	end
end

-- A refused login leaves nothing of its token behind: a second try on the same stream would find it.
function lib.clear(session)
	lib.copy(session, {});
end

function lib.apply(session, answer)
	local claims, context = answer.claims or {}, answer.context or {};
	-- Jitsi's plugins compare this with a name; a list of rooms is the verifier's business alone.
	session.jitsi_meet_room = type(claims.room) == "string" and claims.room or nil;
	session.jitsi_meet_domain = claims.sub;
	session.jitsi_meet_auth_issuer = claims.iss;
	session.jitsi_meet_str_tenant = context.tenant;
	session.jitsi_meet_context_user = context.user;
	session.jitsi_meet_context_group = context.group;
	session.jitsi_meet_context_features = answer.features;
	session.jitsi_meet_context_room = context.room;
	session.jitsi_meet_tenant_mismatch = answer.tenant_mismatch or nil;
	lib.renew(session, answer);
end

-- Keeps what the next questions about this session need.
function lib.renew(session, answer)
	session.usher = answer.grant and {
		grant = answer.grant, keys = answer.revocation_keys or {}, recheck_at = answer.recheck_at,
	} or nil;
end

-- Who a session is: the issuer's user, else the bearer of exactly this token. Guests are nobody.
function lib.identity(session)
	local user = session.jitsi_meet_context_user;
	if not session.auth_token then return nil; end
	if type(user) ~= "table" or user.id == nil then return session.auth_token; end
	return tostring(session.jitsi_meet_auth_issuer) .. "\0" .. tostring(user.id);
end

-- Returns ask(session, question), which waits for the answer and must run where util.async can wait.
function lib.asker(client, profile)
	local async = require "util.async";

	local function ask(question)
		local wait, done = async.waiter();
		local status, body;
		client.post("/v1/verify", lib.encode(question), function (...)
			status, body = ...;
			done();
		end);
		wait();
		if status and status ~= 200 and status ~= 503 then
			module:log("error", "The verifier refuses to be asked (HTTP %d): see usher_credential_file and its log", status);
		elseif not status then
			module:log("warn", "No verdict from the verifier: %s", body);
		end
		return lib.read(status, body);
	end

	return function (session, question)
		session.usher_id = session.usher_id or lib.new_id();
		question.id, question.session, question.profile = lib.new_id(), session.usher_id, profile;
		question.remote_ip, question.user_agent = session.ip, session.user_agent_header;
		question.tenant = session.jitsi_web_query_prefix;
		local grant = question.stage ~= "connect" and session.usher and session.usher.grant;
		question.grant, question.token = grant or nil, not grant and session.auth_token or nil;
		local answer = ask(question);
		if answer.need and grant and session.auth_token then
			question.id, question.grant, question.token = lib.new_id(), nil, session.auth_token;
			answer = ask(question);
		end
		return answer.need and no_verdict or answer;
	end;
end

-- The options that say how to ask, and the client that they make.
function lib.client(http)
	local file = module:get_option_string("usher_credential_file");
	local credential;
	if file then
		local handle, err = io.open(file);
		credential = handle and handle:read("*l");
		if handle then handle:close(); end
		if not credential then module:log("error", "Cannot read usher_credential_file: %s", err or file .. " is empty"); end
	end
	local urls = {};
	for _, url in ipairs(module:get_option_array("usher_url", { "http://127.0.0.1:9160" })) do
		urls[#urls + 1] = url:gsub("/+$", "");
	end
	return http.new { urls = urls, timeout = module:get_option_number("usher_timeout", 2), credential = credential };
end

return lib;
