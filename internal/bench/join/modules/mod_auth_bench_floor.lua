-- For the benchmark alone: the least that a login can cost which has a verifier judge the client's token. Its question has
-- what it must have and nothing else, nothing of it is escaped, and of the answer only the grant is looked for.

local async, new_id = require "util.async", module:require "usher".new_id;
local post = module:require "usher_http".new({ module:get_option_string("usher_url") }, 2);
local ours, asked = new_id() .. "-", 0;
local after = '","stage":"connect","host":"' .. module.host .. '"}';

local sasl = {}; sasl.__index = sasl;
local function new_sasl(session) return setmetatable({ session = session }, sasl); end
function sasl:clean_clone() return new_sasl(self.session); end
function sasl:mechanisms() return { ANONYMOUS = true }; end -- luacheck: ignore 212/self
function sasl:select(name) self.selected = name == "ANONYMOUS"; return self.selected; end
function sasl:process()
	local session, wait, done = self.session, async.waiter();
	asked = asked + 1;
	local request = post("/v1/verify", done, '{"token":"', session.bench_token, '","id":"' .. ours .. asked .. after);
	wait();
	session.bench_token, session.bench_grant = nil, request[2]:match('grant[":\n]+([%w_-]+)');
	if not session.bench_grant then return "failure", "not-allowed"; end
	self.username = new_id();
	return "success";
end

module:provides("auth", { get_sasl_handler = new_sasl });
module:hook_global("websocket-session", function (event)
	local query = event.request.url.query;
	local _, at = query:find("token=", 1, true);
	event.session.bench_token = query:sub(at + 1, (query:find("&", at, true) or 0) - 1);
end);
