-- The lines that change in Jitsi Meet's Prosody config (/etc/prosody/conf.avail/<domain>.cfg.lua). All else stays.

plugin_paths = { "/usr/share/usher/prosody", "/usr/share/jitsi-meet/prosody-plugins/" }

VirtualHost "meet.example.com"
    authentication = "usher" -- was "token"; app_id, app_secret and the asap_ options are in usher.yaml now

Component "conference.meet.example.com" "muc"
    modules_enabled = {
        -- and what else stands here; not token_verification, token_affiliation, token_security_ondemand
        "muc_usher",
    }
    -- The focus is exempt as an admin. Who else comes without a token:
    usher_allowlist = { "recorder.meet.example.com", "jigasi@auth.meet.example.com" }
    -- Guests of another host (guest.meet.example.com) are judged by the profile of that name, or default. Else name yours:
    -- usher_profile = "meet.example.com"
    -- With anonymous_strict, so that nobody with a token takes another's nick (muc_resource_validate knows no "usher"):
    -- anonymous_auth_methods = { "anonymous", "jitsi-anonymous", "usher" }

-- Not on the breakout MUC (whoever is in the main room may go there), nor on the lobby's.
