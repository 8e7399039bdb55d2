package floor

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/usher-im/usher/internal/bench/fixture"
)

// haproxyConfig checks what usher checks on a new token and HAProxy can: signature, expiry, issuer, audience. One
// thread, no log.
const haproxyConfig = `global
    nbthread 1
    maxconn 4000
defaults
    mode http
    timeout client 60s
    timeout server 60s
    timeout connect 5s
frontend verify
    bind 127.0.0.1:%d
    http-request set-var(txn.bearer) http_auth_bearer
    http-request set-var(txn.alg) http_auth_bearer,jwt_header_query('$.alg')
    http-request set-var(txn.exp) http_auth_bearer,jwt_payload_query('$.exp','int')
    http-request set-var(txn.now) date()
    http-request deny deny_status 401 unless { var(txn.alg) -m str RS256 }
    http-request deny deny_status 401 unless { var(txn.bearer),jwt_payload_query('$.iss') -m str %s }
    http-request deny deny_status 401 unless { var(txn.bearer),jwt_payload_query('$.aud') -m str %s }
    http-request deny deny_status 401 if { var(txn.exp),sub(txn.now) -m int lt 0 }
    http-request deny deny_status 401 unless { var(txn.bearer),jwt_verify(txn.alg,"%s") 1 }
    http-request return status 200
`

// HAProxy is a command that runs Debian's HAProxy with its jwt_verify. The keys of the fixture lie in dir, which takes
// its config.
func HAProxy(dir string, port int, pem string) (*exec.Cmd, error) {
	text := fmt.Sprintf(haproxyConfig, port, fixture.Issuer, fixture.Audience, pem)
	file := filepath.Join(dir, "haproxy.cfg")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("write HAProxy's config: %w", err)
	}
	return exec.Command("haproxy", "-db", "-f", file), nil
}
