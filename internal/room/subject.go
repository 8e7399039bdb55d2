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
	claim          string
	any            bool
	tenant, domain string
}

func (r Rules) subjectOf(sub string) subject {
	if !r.VerifyDomain || sub == Wildcard {
		return subject{claim: sub, any: true}
	}
	prefix := r.MUCPrefix
	if prefix == "" {
		prefix = defaultMUCPrefix
	}
	return subject{claim: sub, tenant: folded(nodeprep, sub), domain: folded(nameprep, prefix+"."+sub)}
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
	case a.Tenant == "" && a.Domain == s.domain:
		return nil
	}
	detail := fmt.Sprintf("sub %q is not the tenant %q", s.claim, a.Tenant)
	if a.Tenant == "" {
		detail = fmt.Sprintf("sub %q is not for the domain %q (it would be for %q)", s.claim, a.Domain, s.domain)
	}
	return &reason.Problem{Code: reason.TenantMismatch, Detail: detail}
}
