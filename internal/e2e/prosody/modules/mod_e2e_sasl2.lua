-- For end-to-end tests alone: stands where mod_sasl2 and mod_sasl2_sm do. One stanza logs in, and resumes a session within that.

local st, usermanager, make_authenticated = require "util.stanza", require "core.usermanager", require "core.sessionmanager".make_authenticated;
local smacks = module:depends("smacks");

module:hook_tag("urn:e2e:sasl2", "resume", function (session, request)
	local handler = usermanager.get_sasl_handler(module.host, session);
	handler:select("ANONYMOUS");
	local done = handler:process("") == "success" and make_authenticated(session, handler.username) and smacks.do_resume(session, request);
	(done and done.session or session).send(st.stanza(done and "resumed" or "failed", { xmlns = "urn:xmpp:sm:3" }));
	if done then done.finish(); end
	return true;
end);
