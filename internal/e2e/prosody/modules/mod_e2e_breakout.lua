-- For end-to-end tests alone: stands where Jitsi's mod_muc_breakout_rooms does. On the MUC it marks who has entered a main
-- room; on the breakout MUC (e2e_breakout_of names the main room) it lets in those with the mark of that room alone.

local main = module:get_option_string("e2e_breakout_of");

if main then
	module:hook("muc-occupant-pre-join", function (event)
		if event.origin.jitsi_breakout_main_jid == main then return; end
		event.origin.send(require "util.stanza".error_reply(event.stanza, "cancel", "not-allowed", "not from the main room"));
		return true;
	end);
else
	module:hook("muc-occupant-joined", function (event)
		event.origin.jitsi_breakout_main_jid = event.room.jid;
	end);
end
