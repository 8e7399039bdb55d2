package server

import (
	"crypto/tls"
	"fmt"
	"net"
	"sync/atomic"

	"github.com/usher-im/usher/internal/config"
)

// certificate is what the admin listener shows to whom connects next. Certificates are renewed every few weeks, and a
// node that had to be restarted for it would stop answering Prosody meanwhile.
type certificate struct {
	shown atomic.Pointer[tls.Certificate]
}

// secure puts TLS in front of a listener.
func (c *certificate) secure(ln net.Listener) net.Listener {
	return tls.NewListener(ln, &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.shown.Load(), nil },
	})
}

// load takes the pair in the files. One that cannot be used leaves what is shown.
func (c *certificate) load(files config.TLS) error {
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		return fmt.Errorf("admin.tls cannot be used: %w", err)
	}
	c.shown.Store(&pair)
	return nil
}

// RenewCertificate has the admin listener show what the files of c hold now. One that was opened without TLS goes on
// without, and one that was opened with it keeps its certificate where c names none: both take a restart.
func (s *Server) RenewCertificate(c *config.Config) error {
	if s.opt.Config.Admin.TLS.Cert == "" || c.Admin.TLS.Cert == "" {
		return nil
	}
	return s.certificate.load(c.Admin.TLS)
}
