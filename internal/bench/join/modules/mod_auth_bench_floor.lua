-- For the benchmark alone: the least that a login can cost which asks anybody over HTTP. It posts the same question each
-- time, over the shim's own client, waits, and lets everybody in whatever the answer is.

local async, new_username = require "util.async", module:require "usher".new_id;
local url, question = module:get_option_string("bench_floor_url"), module:get_option_string("bench_floor_connect");
local post = module:require "usher_http".new({ url }, 2);

local sasl = {};
local function new_sasl() return setmetatable({}, { __index = sasl }); end
function sasl:clean_clone() return new_sasl(); end -- luacheck: ignore 212/self
function sasl:mechanisms() return { ANONYMOUS = true }; end -- luacheck: ignore 212/self
function sasl:select(name) self.selected = name == "ANONYMOUS"; return self.selected; end
function sasl:process()
	local wait, done = async.waiter();
	post("/v1/verify", done, "", "", question);
	wait();
	self.username = new_username();
	return "success";
end

module:provides("auth", { get_sasl_handler = new_sasl });
