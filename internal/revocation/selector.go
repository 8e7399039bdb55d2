package revocation

// Selector says by what a revocation finds the tokens that it means.
type Selector string

// The selectors.
const (
	SelectToken  Selector = "token"  // one token, by the fingerprint of its signing input
	SelectJTI    Selector = "jti"    // one token id of an issuer
	SelectUser   Selector = "user"   // all tokens of one user of an issuer
	SelectKey    Selector = "kid"    // all tokens that one key of an issuer verified
	SelectIssuer Selector = "issuer" // all tokens of an issuer
	SelectRoom   Selector = "room"   // all tokens that name a room, a tenant, or a room of a tenant
)

// Selectors lists them all, in the order in which they are looked up and shown.
func Selectors() []Selector {
	return []Selector{SelectToken, SelectJTI, SelectUser, SelectKey, SelectIssuer, SelectRoom}
}

// kind is a selector as one byte. The numbers are part of what the stores hold: never renumber.
type kind uint8

const (
	kindToken kind = 1 + iota
	kindJTI
	kindUser
	kindKey
	kindIssuer
	kindRoom
	kinds // one more than the last
)

var kindOf = map[Selector]kind{
	SelectToken: kindToken, SelectJTI: kindJTI, SelectUser: kindUser,
	SelectKey: kindKey, SelectIssuer: kindIssuer, SelectRoom: kindRoom,
}

var selectorOf = [kinds]Selector{
	kindToken: SelectToken, kindJTI: SelectJTI, kindUser: SelectUser,
	kindKey: SelectKey, kindIssuer: SelectIssuer, kindRoom: SelectRoom,
}

// Code is the selector as the number that stores hold; 0 for none.
func (s Selector) Code() int { return int(kindOf[s]) }

// SelectorOf is the selector that a store's number stands for; empty for none.
func SelectorOf(code int) Selector {
	if code < 0 || code >= int(kinds) {
		return ""
	}
	return selectorOf[code]
}

// Scoped reports whether the selector means something only together with an issuer.
func (s Selector) Scoped() bool { return s == SelectJTI || s == SelectUser || s == SelectKey }
