package prosody

import (
	"bytes"
	"text/template"
)

// What every Prosody of ours has in common. Tests speak plain TCP, BOSH and WebSocket over loopback without TLS,
// so the two consider_… options stand for the reverse proxy that a deployment has.
var configuration = template.Must(template.New("prosody.cfg.lua").Parse(`
run_as_root = true -- Prosody refuses to start as root without it; as a user it means nothing
admins = { {{range .Admins}}{{printf "%q" .}}; {{end}} }
plugin_paths = { {{range .PluginPaths}}{{printf "%q" .}}; {{end}} }
modules_enabled = {
	"saslauth"; "disco"; "ping"; "smacks"; "bosh"; "websocket"; "e2e_console";
	{{range .Modules}}{{printf "%q" .}}; {{end}}
}
modules_disabled = { "s2s"; "offline" }
log = { { levels = { min = "{{.LogLevel}}" }, to = "console" } }
interfaces = { "127.0.0.1" }
local_interfaces = { "127.0.0.1" }
c2s_ports = { {{.C2SPort}} }
c2s_direct_tls_ports = {}
http_ports = { {{.HTTPPort}} }
http_interfaces = { "127.0.0.1" }
https_ports = {}
component_ports = { {{.ComponentPort}} }
component_interface = "127.0.0.1"
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
consider_websocket_secure = true
consider_bosh_secure = true
http_default_host = "{{.Domain}}"
{{.Global}}

VirtualHost "{{.Domain}}"
	authentication = "{{.Authentication}}"
{{.Host}}

VirtualHost "guest.{{.Domain}}"
	authentication = "anonymous"

Component "conference.{{.Domain}}" "muc"
	modules_enabled = { {{range .MUCModules}}{{printf "%q" .}}; {{end}} }
	restrict_room_creation = false
	muc_room_locking = false
	muc_tombstones = false
{{.MUC}}

{{.Hosts}}
`))

type configValues struct {
	Options
	C2SPort, HTTPPort, ComponentPort int
}

func render(v configValues) ([]byte, error) {
	var b bytes.Buffer
	err := configuration.Execute(&b, v)
	return b.Bytes(), err
}
