package token

import (
	"fmt"
	"strings"

	"github.com/usher-im/usher/internal/reason"
)

// Parse reads raw and refuses whatever is not of proper shape, before anything it claims is believed.
func Parse(raw string, lim Limits) (*Token, *reason.Problem) {
	t := new(Token)
	if problem := t.Read(raw, lim); problem != nil {
		return nil, problem
	}
	return t, nil
}

// Read is Parse where the caller has the memory. t must be empty, may be used only where nothing is wrong, and not be copied.
func (t *Token) Read(raw string, lim Limits) *reason.Problem {
	if problem := lim.size(raw); problem != nil {
		return problem
	}
	p, problem := split(raw, lim.Known)
	if problem != nil {
		return problem
	}
	t.SigningInput, t.Signature = p.signingInput(), p.signature

	var s scanner
	if p.known != nil {
		t.Header = p.known.Header
	} else {
		s.begin("header", p.header)
		s.header(&t.Header, lim)
		s.end()
		if s.fault != "" {
			return malformed(s.fault)
		}
	}
	s.begin("payload", p.payload)
	s.claims(t)
	s.end()
	if s.fault != "" {
		return malformed(s.fault)
	}
	t.Claims.Raw = p.payload
	return nil
}

func (lim Limits) size(raw string) *reason.Problem {
	most := lim.MaxSize
	if most == 0 {
		most = DefaultMaxSize
	}
	switch {
	case raw == "":
		return &reason.Problem{Code: reason.TokenMissing, Detail: "the token is empty"}
	case len(raw) > most:
		return &reason.Problem{Code: reason.TokenTooLarge,
			Detail: fmt.Sprintf("the token has %d bytes, and %d are read", len(raw), most)}
	}
	return nil
}

// header reads the JOSE header (RFC 7515, section 4). An extension that changes what a signature means must not go
// unnoticed: crit asks to refuse what is not known, and of the extensions usher knows none.
func (s *scanner) header(h *Header, lim Limits) {
	if s.fault != "" {
		return
	}
	hasAlg := false
	for o := s.object(); s.next(&o); {
		switch o.name {
		case "alg":
			h.Alg, hasAlg = s.wantString("the header's alg"), true
		case "kid":
			h.Kid, h.HasKid = s.wantString("the header's kid"), true
		case "typ":
			h.Typ = s.wantString("the header's typ")
			if s.fault == "" && !lim.accepts(h.Typ) {
				s.fail(fmt.Sprintf("the header's typ %.24q is not among the accepted types", h.Typ))
			}
		case "cty":
			s.wantString("the header's cty")
		case "crit":
			s.fail("the header's crit asks for an extension, and usher knows none")
		case "b64":
			// RFC 7797, section 7: a JWT is never signed over an unencoded payload.
			if s.peek() != 't' || s.word() != 't' {
				s.fail("the header's b64 is not true")
			}
		case "enc":
			s.fail("the header has enc: the token is encrypted (JWE), and usher reads signed tokens only")
		default:
			s.skip()
		}
	}
	if !hasAlg {
		s.fail("the header has no alg")
	}
}

func (lim Limits) accepts(typ string) bool {
	if len(lim.Types) == 0 {
		return strings.EqualFold(bareType(typ), "JWT")
	}
	for _, accepted := range lim.Types {
		if strings.EqualFold(bareType(typ), bareType(accepted)) {
			return true
		}
	}
	return false
}

// bareType takes "application/" off where no other slash follows, as RFC 7515, section 4.1.9, has it.
func bareType(typ string) string {
	const prefix = "application/"
	if len(typ) > len(prefix) && strings.EqualFold(typ[:len(prefix)], prefix) &&
		!strings.Contains(typ[len(prefix):], "/") {
		return typ[len(prefix):]
	}
	return typ
}
