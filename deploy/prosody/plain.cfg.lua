-- Plain Prosody with usher: for clients over WebSocket, BOSH and c2s, without Jitsi's plugins.
-- In usher.yaml, rooms.create must be allow: here a token opens its room itself.

plugin_paths = { "/usr/share/usher/prosody" }

-- Small answers go out at once, which makes joins cheaper, with and without tokens.
network_settings = { nagle = false, opportunistic_writes = true }
-- Nearly half of what a join costs Prosody is Lua's garbage collector. On Lua 5.4 this halved the CPU of joins in our
-- benchmarks, with and without tokens; try it with your own plugins first.
-- gc = { mode = "generational" }

-- The proxy in front speaks TLS; without this line Prosody offers no login over ws://.
consider_websocket_secure = true
consider_bosh_secure = true

VirtualHost "meet.example.com"
    authentication = "usher"
    modules_enabled = { "websocket", "bosh", "smacks" }

Component "conference.meet.example.com" "muc"
    modules_enabled = { "muc_usher" }
    storage = "memory"
    -- A new room would stay locked until its owner configures it, and a token's bearer need not be an owner.
    muc_room_locking = false
