-- Authentication by JSON Web Token, judged by the usher verifier.
--
--   VirtualHost "meet.example.com"
--       authentication = "usher"

local usher, http, parse_query = module:require "usher", module:require "usher_http", require "util.http".formdecode;
local get_user_role, role = require "core.usermanager".get_user_role, nil; -- 0.12 has neither
local ask, feed = usher.asker(http), module:require "usher_feed"(usher, usher.asker(http));

local plain, refuse_guests = module:get_option_boolean("usher_plain") or nil, module:get_option_boolean("allow_empty_token") == false;
local host, muc_domain = module.host, module:get_option_string("muc_mapper_domain_prefix", "conference") .. "."
	.. module:get_option_string("muc_mapper_domain_base", module.host);

-- What a browser shows in its URL or header. The token waits apart: Jitsi's plugins take an auth_token for a login,
-- and this session may yet turn to another host. Where mod_jitsi_session runs (at 1) it has set the same fields.
local function read_request(event)
	local session, headers, text, query, at = event.session, event.request.headers, event.request.url.query or "", {}, 1;
	while at <= #text do -- not by a pattern: a token is long
		local equals, stop = text:find("=", at, true) or #text + 1, text:find("&", at, true) or #text + 1;
		query[equals < stop and text:sub(at, equals - 1) or ""], at = text:sub(equals + 1, stop - 1), stop + 1;
	end
	if text:find("%", 1, true) or text:find("+", 1, true) then query = parse_query(text); end
	session.usher_token = query.token or (headers.authorization or ""):match("^[Bb]earer +(.+)$");
	session.previd, session.jitsi_web_query_room = session.previd or query.previd, session.jitsi_web_query_room or query.room;
	session.jitsi_web_query_prefix = session.jitsi_web_query_prefix or query.prefix or "";
	session.user_agent_header = session.user_agent_header or headers.user_agent;
end

-- The session that a client would go on with: named by its resumption id, or by the username that it asks for.
local function find_previous(previd, wish)
	if previd then for _, s in pairs(prosody.full_sessions) do if s.resumption_token == previd and s.host == host then return s; end end end
	local user = prosody.hosts[host].sessions[wish or ""];
	return user and select(2, next(user.sessions));
end

local function refuse(condition, text) error({ condition = tostring(condition or "not-allowed"), text = text and tostring(text) }); end

-- One of Jitsi's events, whose handlers may refuse.
local function fire(name, data)
	local result = prosody.events.fire_event(name, data);
	if type(result) == "table" and result.res == false then refuse(result.error, result.reason); end
	return result;
end

-- The whole of a login. Waits; returns a username and the role that goes with it, nil for Prosody to find; or throws a refusal.
local function login(session, token, wish)
	local room, tenant, previd = session.jitsi_web_query_room or "", session.jitsi_web_query_prefix or "", session.previd;
	local previous = find_previous(previd, wish);
	session.auth_token = token;
	fire("pre-jitsi-authentication-fetch-key", session);
	-- A session that comes back with its token keeps its id, so that a one-time jti knows its owner. Only whoever names the
	-- secret resumption id is it: usernames are seen by everybody in a room.
	local returns = token and previd and previous and previous.resumption_token == previd and previous.auth_token == token and previous.usher_id;
	session.usher_id = returns or nil;
	local address = room ~= "" and (tenant ~= "" and "[" .. tenant .. "]" or "") .. room .. "@" .. muc_domain or nil;
	local answer = ask(session, { stage = "connect", host = host, room = address, previous_session = returns or nil });
	session.base_type = session.base_type or "c2s"; -- 13's mod_saslauth asks even a session that is gone for it
	if answer.unavailable then session.usher_token = token; end -- the client is told to try again, and may do so here
	if session.destroyed or not answer.allow then refuse(answer.unavailable and "temporary-auth-failure" or answer.condition, answer.text); end
	if not token and refuse_guests then refuse(nil, "A token is required to connect."); end
	if token then
		usher.apply(session, answer);
		answer.claims = answer.claims or {};
		answer.claims.context = not answer.claims.user_id and answer.context or nil; -- else it is made of the user_id
		fire("jitsi-authentication-token-verified", { session = session, claims = answer.claims });
		if session.contextRequired and not answer.claims.context then refuse(nil, "This token lacks what is required here."); end
	end
	if fire("jitsi-access-ban-check", session) == false then refuse(nil, "user is banned"); end
	local username = fire("pre-jitsi-authentication", session)
		or previous and not previous.destroyed and usher.identity(previous) == usher.identity(session) and previous.username;
	fire("post-jitsi-authentication", session);
	username = type(username) == "string" and username or returns;
	if username then return username; end
	-- Whom chance has just named has no role of its own: Prosody 13 would look into a file for it at each login, and is asked once.
	role = role or get_user_role and (get_user_role(session.usher_id, host) or {}).name;
	return session.usher_id, role;
end

-- Where a message carries a username and the token. The username is a wish: it is granted where the same identity has
-- it already. RFC 7628, section 3.1; RFC 4616, where the password is the token.
local patterns = { OAUTHBEARER = "^[ny],a?=?([^@,]*)[^,]*,.-\1auth=[Bb]earer +([^\1]+)\1", PLAIN = "^[^%z]*%z([^%z]+)%z([^%z]+)$" };

local sasl = {}; sasl.__index = sasl;
local function new_sasl(session) return setmetatable({ session = session }, sasl); end
function sasl:clean_clone() return new_sasl(self.session); end

local browsers, natives = { ANONYMOUS = true }, { ANONYMOUS = true, OAUTHBEARER = true, PLAIN = plain };

-- Who came by a URL has shown there what it has. Jitsi's client would take OAUTHBEARER wherever it is offered, for a password
-- that it has not got.
function sasl:mechanisms()
	return self.session.secure and not self.session.jitsi_web_query_prefix and natives or browsers;
end

function sasl:select(name) self.selected = self:mechanisms()[name] and name; return self.selected; end

local no_answer = { condition = "temporary-auth-failure", text = usher.no_verdict.text };

-- Nothing may throw here: the client would wait 300 s for an answer that never comes.
function sasl:process(message)
	local session, refusal = self.session, self.refusal;
	if refusal then return "failure", refusal.condition, refusal.text; end
	local wish, token = nil, session.auth_token or session.usher_token or "";
	if self.selected ~= "ANONYMOUS" then wish, token = (message or ""):match(patterns[self.selected]); end
	if not token then return "failure", "malformed-request"; end
	session.usher_token = nil;
	local ok, result, its_role = pcall(login, session, token ~= "" and token or nil, wish);
	if ok then self.username, self.role = result, its_role; return "success"; end
	usher.set(session, {});
	if type(result) ~= "table" then module:log("error", "A login failed by an error: %s", result); result = no_answer; end
	-- RFC 7628, section 3.2.2: there the failure follows when the client has seen a challenge.
	self.refusal = self.selected == "OAUTHBEARER" and result.condition ~= "temporary-auth-failure" and result or nil;
	if self.refusal then return "challenge", '{"status":"invalid_token"}'; end
	return "failure", result.condition, result.text;
end

function module.unload() feed.stop(); end

-- There are no accounts: whom Prosody's shell lists and announces to are those who are here.
module:provides("auth", { get_sasl_handler = new_sasl, users = function () return next, prosody.hosts[host].sessions; end });
module:hook_global("bosh-session", read_request);
module:hook_global("websocket-session", read_request);
-- mod_muc_usher asks through the host that let a session in: its grant, its profile, its connections.
module.environment.ask = ask;
-- Jitsi's client names in its URL what it goes on with, others only now; and Prosody seeks that among its username's sessions.
for _, version in ipairs { 2, 3 } do
	module:hook("stanza/urn:xmpp:sm:" .. version .. ":resume", function (event)
		local session = event.origin;
		-- Anybody may send this, and to any host. To seek costs a walk over all sessions: it is done once, here or at the login.
		-- Prosody throws at a resumption over BOSH, which has no rawsend: its client would wait for ever.
		if session.type ~= "c2s_unbound" or session.host ~= host or session.previd or not session.rawsend then return; end
		session.previd = event.stanza.attr.previd;
		local previous = find_previous(session.previd);
		if previous and usher.identity(previous) == usher.identity(session) then session.username = previous.username; end
	end, 1);
end
-- A login can still fail after us, by its username.
module:hook("authentication-failure", function (event) usher.set(event.session, {}); end);
module:hook("pre-resource-unbind", function (event)
	prosody.events.fire_event("jitsi-pre-session-unbind", { jid = event.session.full_jid, session = event.session, error = event.error });
end, 11);
