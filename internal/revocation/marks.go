package revocation

import (
	"strings"
	"sync/atomic"
)

// Subject is what a proven token can be revoked by.
type Subject struct {
	Issuer string
	JTI    string
	// User is context.user.id, or the claim that the profile names as user_claim.
	User string
	// KeyID is the name of the key that verified, never the header's word.
	KeyID string
	// KeyNames are all names of that key, where it has more than one.
	KeyNames []string
	// AnyIssuer says that the key serves whatever iss a token names, so that whoever holds it writes the iss that was not revoked.
	AnyIssuer   bool
	Fingerprint [16]byte
	// Rooms are the room claims as signed. Tenant is the tenant that the token is for (sub), or empty.
	Rooms  []string
	Tenant string
	// IssuedAt is iat in Unix milliseconds, 0 where the token has none.
	IssuedAt int64
}

// AnyIssuer is the issuer under which a key is revoked that serves any.
const AnyIssuer = "*"

// inline is how many keys fit into Marks itself: token, issuer, jti, user, key, tenant, and one room by its bare name
// and in its tenant. A token that names more rooms than that, or has all of them and a key that serves any issuer, pays with
// one allocation.
const inline = 8

// Marks is a Subject made ready for lookups. It is computed once per proven token and kept with it.
type Marks struct {
	keys  [inline]Key
	kinds [inline]kind
	n     uint8
	// present has a bit for each kind among the keys.
	present  uint32
	more     []Key // those that did not fit
	IssuedAt int64
}

func (m *Marks) add(k kind, key Key) {
	m.present |= 1 << k
	if int(m.n) == inline {
		m.more = append(m.more, key)
		return
	}
	m.keys[m.n], m.kinds[m.n] = key, k
	m.n++
}

// Keys lists every key that would revoke this token.
func (m *Marks) Keys() []Key {
	all := make([]Key, 0, int(m.n)+len(m.more))
	all = append(all, m.keys[:m.n]...)
	return append(all, m.more...)
}

// MarksOf hashes what a token can be revoked by. Empty members name nothing and cannot be revoked by.
func MarksOf(s Subject) Marks { return new(Shared).MarksOf(s) }

// Shared remembers the marks that the tokens of one issuer usually have in common (issuer, key and tenant), so that a new
// token pays for its own alone. The zero value is ready. It may be used from any number of goroutines.
type Shared struct{ last atomic.Pointer[sharedMarks] }

type sharedMarks struct {
	issuer, keyID, tenant         string
	issuerMark, keyMark, allRooms Key
	anyIssuer                     bool
	keyMarkOfAny                  Key // where anyIssuer: the key's under AnyIssuer
}

// MarksOf is the function of that name.
func (x *Shared) MarksOf(s Subject) Marks {
	m := Marks{IssuedAt: s.IssuedAt}
	if s.User != "" { // first: see FeedKeys
		m.add(kindUser, keyOf(kindUser, s.Issuer, s.User))
	}
	m.add(kindToken, Key(s.Fingerprint))
	if s.JTI != "" {
		m.add(kindJTI, keyOf(kindJTI, s.Issuer, s.JTI))
	}
	tenant := tenantOf(s.Tenant)
	common := x.of(s.Issuer, s.KeyID, tenant, s.AnyIssuer)
	if s.KeyID != "" {
		m.add(kindKey, common.keyMark)
		if s.AnyIssuer {
			m.add(kindKey, common.keyMarkOfAny)
		}
	}
	m.add(kindIssuer, common.issuerMark)
	if tenant != "" {
		m.add(kindRoom, common.allRooms)
	}
	m.addRooms(s.Rooms, tenant)
	for _, name := range s.KeyNames {
		if name != s.KeyID {
			m.add(kindKey, keyOf(kindKey, s.Issuer, name))
			if s.AnyIssuer {
				m.add(kindKey, keyOf(kindKey, AnyIssuer, name))
			}
		}
	}
	return m
}

func (x *Shared) of(issuer, keyID, tenant string, anyIssuer bool) *sharedMarks {
	if c := x.last.Load(); c != nil && c.issuer == issuer && c.keyID == keyID && c.tenant == tenant && c.anyIssuer == anyIssuer {
		return c
	}
	c := &sharedMarks{
		issuer: strings.Clone(issuer), keyID: strings.Clone(keyID), tenant: strings.Clone(tenant),
		issuerMark: keyOf(kindIssuer, "", issuer), keyMark: keyOf(kindKey, issuer, keyID), allRooms: roomsOf(tenant),
		anyIssuer: anyIssuer,
	}
	if anyIssuer {
		c.keyMarkOfAny = keyOf(kindKey, AnyIssuer, keyID)
	}
	x.last.Store(c)
	return c
}
