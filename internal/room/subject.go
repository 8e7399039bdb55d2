package room

import (
	"fmt"
	"strings"

	"github.com/usher-im/usher/internal/reason"
)

// defaultMUCPrefix is Jitsi's default of muc_mapper_domain_prefix.
const defaultMUCPrefix = "conference"

// subject is a token's sub as it is compared with rooms: with the tenant of a room that has one, else, behind the MUC
// prefix, with the domain.
type subject struct {
	claim  string
	any    bool
	tenant string
	// The domain is the prefix, a dot and the rest; where preparing it changes anything, all of it is the rest.
	prefix, rest string
}

func (r Rules) subjectOf(sub string) subject {
	if !r.VerifyDomain || sub == Wildcard {
		return subject{claim: sub, any: true}
	}
	prefix := r.MUCPrefix
	if prefix == "" {
		prefix = defaultMUCPrefix
	}
	s := subject{claim: sub, tenant: folded(nodeprep, sub), prefix: prefix, rest: sub}
	if !nameProfile.isPlain(prefix) || !nameProfile.isPlain(sub) {
		s.prefix, s.rest = "", folded(nameprep, prefix+"."+sub)
	}
	return s
}

// isFor tells whether domain is the subject's. It is put together for details alone: each new token would pay for it.
func (s *subject) isFor(domain string) bool {
	if s.prefix == "" {
		return domain == s.rest
	}
	at := len(s.prefix)
	return len(domain) == at+1+len(s.rest) && domain[:at] == s.prefix && domain[at] == '.' && domain[at+1:] == s.rest
}

func (s *subject) domain() string {
	if s.prefix == "" {
		return s.rest
	}
	return s.prefix + "." + s.rest
}

// folded prepares s where XMPP allows it, and else lowers it, so that it equals nothing but itself.
func folded(prepare func(string) (string, bool), s string) string {
	if prepared, ok := prepare(s); ok {
		return prepared
	}
	return strings.ToLower(s)
}

func (s *subject) fits(a Address) *reason.Problem {
	switch {
	case s.any:
		return nil
	case a.Tenant != "" && a.Tenant == s.tenant:
		return nil
	case a.Tenant == "" && s.isFor(a.Domain):
		return nil
	}
	detail := fmt.Sprintf("sub %q is not the tenant %q", s.claim, a.Tenant)
	if a.Tenant == "" {
		detail = fmt.Sprintf("sub %q is not for the domain %q (it would be for %q)", s.claim, a.Domain, s.domain())
	}
	return &reason.Problem{Code: reason.TenantMismatch, Detail: detail}
}
