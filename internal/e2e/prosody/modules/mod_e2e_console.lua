-- For end-to-end tests alone: runs a chunk of Lua that a test sends over loopback, so that a test can look at
-- sessions and rooms from inside, and says on the log when the server has started.

module:set_global();
module:depends("http");

local json = require "util.json";

local function run(event)
	local env = setmetatable({ module = module, prosody = prosody }, { __index = _G });
	local chunk, syntax_error = load(event.request.body, "=test", "t", env);
	if not chunk then
		return { status_code = 400, body = syntax_error };
	end
	local ok, result = xpcall(chunk, debug.traceback);
	if not ok then
		return { status_code = 500, body = tostring(result) };
	end
	return { status_code = 200, headers = { content_type = "application/json" }, body = json.encode({ result = result }) };
end

module:provides("http", {
	name = "e2e";
	default_path = "/e2e";
	route = { ["POST /run"] = run };
});

module:hook_global("server-started", function ()
	module:log("info", "end-to-end console ready");
end);
