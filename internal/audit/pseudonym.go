package audit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"strconv"
	"strings"
)

// Pseudonyms replaces user ids and addresses by a keyed hash. Who has a value and the key finds its rows; who has the
// rows alone cannot try values. The nil Pseudonyms changes nothing.
type Pseudonyms struct{ key []byte }

const pseudonymMark = "p1:"

var pseudonymText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewPseudonyms takes the key; an empty one means none.
func NewPseudonyms(key []byte) *Pseudonyms {
	if len(key) == 0 {
		return nil
	}
	return &Pseudonyms{key: key}
}

// User is what stands for a user id, or the subject where that is the user. A long one is taken as events keep it.
func (p *Pseudonyms) User(id string) string { return p.of("user", Cut(id)) }

// Address is what stands for a remote address.
func (p *Pseudonyms) Address(ip string) string { return p.of("address", Address(ip)) }

func (p *Pseudonyms) of(what, value string) string {
	if p == nil || value == "" || strings.HasPrefix(value, pseudonymMark) {
		return value
	}
	mac := hmac.New(sha256.New, p.key)
	mac.Write([]byte(what))
	mac.Write([]byte{0})
	mac.Write([]byte(value))
	return pseudonymMark + pseudonymText.EncodeToString(mac.Sum(nil)[:15])
}

// apply replaces what names a person, in details too.
func (p *Pseudonyms) apply(e *Event) {
	user, ip := p.User(e.UserID), p.Address(e.RemoteIP)
	if e.UserID != "" {
		e.Detail = replaced(e.Detail, e.UserID, user)
		if e.Subject == e.UserID {
			e.Subject = user
		}
	}
	if e.RemoteIP != "" {
		e.Detail = replaced(e.Detail, e.RemoteIP, ip)
	}
	e.UserID, e.RemoteIP = user, ip
	e.UserName, e.UserEmail = "", ""
}

// replaced puts a word in place of a value in a detail, where it may be quoted, and cut short as well.
func replaced(detail, value, by string) string {
	if detail == "" {
		return ""
	}
	const least, cut = 16, "…" // bytes of a value that name nobody
	quoted := strconv.QuoteToGraphic(value)
	quoted = quoted[1 : len(quoted)-1]
	detail = strings.ReplaceAll(strings.ReplaceAll(detail, value, by), quoted, by)
	for n := len(quoted) - 1; n >= least && strings.Contains(detail, cut); n-- {
		detail = strings.ReplaceAll(detail, quoted[:n]+cut, by)
	}
	return detail
}
