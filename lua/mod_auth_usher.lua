-- Authentication by JSON Web Token, judged by the usher verifier.
--
--   VirtualHost "meet.example.com"
--       authentication = "usher"

local new_username = require "util.uuid".generate;
local parse_query = require "util.http".formdecode;
local nodeprep = require "util.encodings".stringprep.nodeprep;

local usher = module:require "usher";
local client = usher.client(module:require "usher_http");

local host, host_sessions = module.host, prosody.hosts[module.host].sessions;
local plain = module:get_option_boolean("usher_plain", false);
local refuse_guests = module:get_option_boolean("allow_empty_token") == false;
local muc_domain = module:get_option_string("muc_mapper_domain_prefix", "conference") .. "."
	.. module:get_option_string("muc_mapper_domain_base", host);
local ask = usher.asker(client, module:get_option_string("usher_profile"));

local count_allowed, count_denied = module:measure("allowed", "counter"), module:measure("denied", "counter");
local count_unavailable = module:measure("unavailable", "counter");

-- What a browser shows in its URL or header. The token waits apart: Jitsi's plugins take an auth_token for a login,
-- and this session may yet turn to another host. Where mod_jitsi_session runs (at 1) it has set the same fields.
local function read_request(event)
	local session, request = event.session, event.request;
	local query = request.url.query and parse_query(request.url.query) or {};
	session.usher_token = query.token or (request.headers.authorization or ""):match("^[Bb]earer +(.+)$");
	session.previd = session.previd or query.previd;
	session.jitsi_web_query_room = session.jitsi_web_query_room or query.room;
	session.jitsi_web_query_prefix = session.jitsi_web_query_prefix or query.prefix or "";
	session.user_agent_header = session.user_agent_header or request.headers.user_agent;
end

-- The session that a client may go on with: named by its resumption id, or by the username that it asks for.
local function find_previous(session, wish)
	for username, user in pairs(host_sessions) do
		for _, other in pairs(user.sessions) do
			if session.previd and other.resumption_token == session.previd or username == wish then return other; end
		end
	end
end

local function fire(name, data)
	return prosody.events.fire_event(name, data);
end

-- The whole of a login; may wait. Returns a username, or nil with the SASL condition and text.
local function login(session, token, wish)
	usher.clear(session);
	session.auth_token = token;
	local refusal = fire("pre-jitsi-authentication-fetch-key", session);
	if refusal and refusal.res == false then return nil, refusal.error, refusal.reason; end

	local previous, room = find_previous(session, wish), session.jitsi_web_query_room;
	local question = { stage = "connect", host = host };
	if previous and token and previous.auth_token == token then
		-- It is that session coming back: it keeps its id, so that a one-time jti knows its owner.
		session.usher_id, question.previous_session = previous.usher_id, previous.usher_id;
	end
	if room and room ~= "" then
		local tenant = session.jitsi_web_query_prefix;
		question.room = (tenant and tenant ~= "" and "[" .. tenant .. "]" or "") .. room .. "@" .. muc_domain;
	end
	local answer = ask(session, question);
	if session.destroyed then
		session.base_type = session.base_type or "c2s"; -- 13's mod_saslauth asks a session that is gone for it
		return nil, "temporary-auth-failure", "Connection gone";
	elseif answer.unavailable then
		count_unavailable(1);
		return nil, "temporary-auth-failure", answer.text;
	elseif not answer.allow then
		count_denied(1);
		return nil, answer.condition, answer.text;
	elseif not token and refuse_guests then
		module:log("warn", "Refusing a guest that the verifier lets in: allow_empty_token is false here");
		return nil, "not-allowed", "A token is required to connect.";
	end

	if token then
		usher.apply(session, answer);
		local claims = answer.claims or {};
		claims.context = answer.context;
		fire("jitsi-authentication-token-verified", { session = session, claims = claims });
		if session.contextRequired and not claims.context then
			return nil, "not-allowed", "This token lacks something that is required here.";
		end
	end
	if fire("jitsi-access-ban-check", session) == false then return nil, "not-allowed", "You are banned."; end
	local username = fire("pre-jitsi-authentication", session);
	if not username and previous and not previous.destroyed and usher.identity(previous) == usher.identity(session) then
		username = previous.username;
	end
	refusal = fire("post-jitsi-authentication", session);
	if refusal and refusal.res == false then return nil, refusal.error, refusal.reason; end
	count_allowed(1);
	return nodeprep(username or new_username()) or error("not a username: " .. tostring(username));
end

-- How each SASL mechanism carries its token. Returns the token and the username asked for, or nil and nil and a
-- condition. A username is a wish alone: it is granted where the same identity has it already.
local mechanisms = {};

function mechanisms.ANONYMOUS(_, session)
	return session.auth_token or session.usher_token;
end

function mechanisms.OAUTHBEARER(message) -- RFC 7628, section 3.1
	local authzid, pairs_ = (message or ""):match("^[ny],([^,]*),\1(.+)\1$");
	local token = pairs_ and ("\1" .. pairs_):match("\1auth=[Bb]earer +([^\1]+)\1");
	if not token then return nil, nil, "malformed-request"; end
	return token, authzid:match("^a=([^@]+)");
end

function mechanisms.PLAIN(message) -- RFC 4616: the password is the token
	local authcid, token = (message or ""):match("^[^%z]*%z([^%z]+)%z([^%z]+)$");
	if not token then return nil, nil, "malformed-request"; end
	return token, authcid;
end

local sasl = {};
sasl.__index = sasl;

local function new_sasl(session)
	return setmetatable({ session = session }, sasl);
end

function sasl:mechanisms()
	local secure = self.session.secure;
	return { ANONYMOUS = true, OAUTHBEARER = secure or nil, PLAIN = secure and plain or nil };
end

function sasl:select(name)
	if not self:mechanisms()[name] then return nil; end
	self.selected = name;
	return true;
end

function sasl:clean_clone()
	return new_sasl(self.session);
end

-- Nothing may throw here: the client would wait 300 s for an answer that never comes.
function sasl:process(message)
	local session, refusal = self.session, self.refusal;
	if refusal then return "failure", refusal.condition, refusal.text; end
	local token, wish, malformed = mechanisms[self.selected](message, session);
	if malformed then return "failure", malformed; end
	session.usher_token = nil;
	local ok, username, condition, text = pcall(login, session, token, wish);
	if ok and username then
		self.username = username;
		return "success";
	end
	usher.clear(session);
	if not ok then
		module:log("error", "A login failed by an error: %s", username);
		condition, text = "temporary-auth-failure", nil;
	end
	condition = condition or "not-allowed";
	if self.selected == "OAUTHBEARER" and condition ~= "temporary-auth-failure" then
		self.refusal = { condition = condition, text = text };
		return "challenge", '{"status":"invalid_token"}'; -- RFC 7628, section 3.2.2: the failure follows
	end
	return "failure", condition, text;
end

local provider = { get_sasl_handler = new_sasl };
for _, name in ipairs { "test_password", "get_password", "set_password", "create_user", "delete_user" } do
	provider[name] = function () return nil, "Users of this host are known by their tokens"; end;
end

function module.unload()
	client.close();
end

module:provides("auth", provider);
module:hook_global("bosh-session", read_request);
module:hook_global("websocket-session", read_request);
-- mod_muc_usher asks through the host that let the session in: its grant, profile and connections.
module:hook("usher-ask", function (event) return ask(event.session, event.question); end);
-- A login can still fail after us, by its username.
module:hook("authentication-failure", function (event) usher.clear(event.session); end);
module:hook("pre-resource-unbind", function (event)
	local session = event.session;
	fire("jitsi-pre-session-unbind", { jid = session.full_jid, session = session, error = event.error });
end, 11);
