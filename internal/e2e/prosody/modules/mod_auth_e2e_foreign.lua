-- For end-to-end tests alone: a token host that is not ours. It does what Jitsi's does beside us: it takes the token of
-- every session for its own, and closes one that is resumed anywhere with a token that it does not know (Prosody 13).

local known = module:get_option_string("e2e_foreign_token");

local function set_token(event)
	event.session.auth_token = (event.request.url.query or ""):match("token=([^&]*)");
end

local sasl = {};
local function new_sasl(session) return setmetatable({ session = session }, { __index = sasl }); end
function sasl:clean_clone() return new_sasl(self.session); end
function sasl:mechanisms() return { ANONYMOUS = true }; end -- luacheck: ignore 212/self
function sasl:select(name) self.selected = name == "ANONYMOUS"; return self.selected; end
function sasl:process()
	if self.session.auth_token ~= known then return "failure", "not-authorized"; end
	self.username = "foreigner"; -- the same each time, so that its session can be resumed
	return "success";
end

module:provides("auth", { get_sasl_handler = new_sasl });
module:hook_global("websocket-session", set_token, 1);
module:hook_global("c2s-session-updated", function (event)
	local from = event.from_session;
	if from.auth_token and from.auth_token ~= known then event.session:close(); end
end, 1);
