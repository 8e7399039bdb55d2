-- Stands where Jitsi's mod_jitsi_session does: it sets auth_token on a new session, from a place that usher's own
-- modules do not look at.

module:set_global();

local function set_token(event)
	event.session.auth_token = event.request.headers.x_token;
end

module:hook_global("bosh-session", set_token, 1);
module:hook_global("websocket-session", set_token, 1);
