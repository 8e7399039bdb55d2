// Package room judges rooms: it reads room JIDs as Prosody sees them and decides whether a token's claim opens one.
//
// It is pure: no I/O, no clock. Names are prepared as Prosody prepares them, so that two spellings of one room are one
// room here and there, and nothing that Prosody keeps apart by accident of encoding is taken for another room.
package room

import (
	"strings"

	"github.com/usher-im/usher/internal/reason"
)

// Address is a room JID taken apart: `[tenant]name@domain`, where mod_muc_domain_mapper writes the tenant. All parts
// are prepared as Prosody prepares them; percent-encoding of the name is undone once.
type Address struct {
	Tenant, Name, Domain string
}

// ParseAddress reads a room JID, bare or with a nick. What Prosody itself would not take for the address of a room is
// room_invalid.
func ParseAddress(jid string) (Address, *reason.Problem) {
	node, domain, ok := splitJID(jid)
	if !ok {
		return Address{}, invalid("this is not the JID of a room")
	}
	if domain, ok = nameprep(domain); !ok || domain == "" {
		return Address{}, invalid("the domain is not one that XMPP allows")
	}
	if node, ok = nodeprep(node); !ok || node == "" {
		return Address{}, invalid("the name is not one that XMPP allows")
	}
	tenant, name := splitTenant(node)
	return Address{Tenant: tenant, Name: decoded(name), Domain: domain}, nil
}

func invalid(why string) *reason.Problem {
	return &reason.Problem{Code: reason.RoomInvalid, Detail: why}
}

// splitJID splits as Prosody's util.jid does: the first @ or / ends the node, a trailing / without a nick is an error,
// and the empty root label of a domain is dropped.
func splitJID(jid string) (node, domain string, ok bool) {
	at := strings.IndexAny(jid, "@/")
	if at <= 0 || jid[at] == '/' {
		return "", "", false
	}
	node, domain = jid[:at], jid[at+1:]
	if end := strings.IndexAny(domain, "@/"); end >= 0 {
		if domain[end] == '@' || end == len(domain)-1 {
			return "", "", false
		}
		domain = domain[:end]
	}
	return node, strings.TrimSuffix(domain, "."), true
}

// splitTenant splits as Jitsi's extract_subdomain does: the tenant is what stands in the first brackets, when something
// stands in them and after them.
func splitTenant(node string) (tenant, name string) {
	if !strings.HasPrefix(node, "[") {
		return "", node
	}
	end := strings.IndexByte(node, ']')
	if end < 2 || end == len(node)-1 {
		return "", node
	}
	return node[1:end], node[end+1:]
}

// TenantMismatch tells whether the token names a tenant and the URL that the client came by names another: the flag
// jitsi_meet_tenant_mismatch that Jitsi's plugins read.
func TenantMismatch(contextTenant string, hasContextTenant bool, urlTenant string) bool {
	return hasContextTenant && !strings.EqualFold(contextTenant, urlTenant)
}
