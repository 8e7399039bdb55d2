// Package credential keeps who may use the listeners: bearer secrets, kept as hashes, each with a name and a role.
//
// The secrets are random and long (256 bits), so a plain SHA-256 keeps them: there is nothing to guess, and a slow
// hash would let anybody spend our CPU.
package credential

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"time"
)

// Role is what a credential lets its bearer do.
type Role string

// The roles. Admin may do everything; the others only what they say.
const (
	Verify Role = "verify" // ask the verify listener, introspect
	Audit  Role = "audit"  // read everything
	Revoke Role = "revoke" // revoke, lift, and read revocations
	Admin  Role = "admin"
)

// ParseRole reads a role's name.
func ParseRole(name string) (Role, error) {
	switch r := Role(name); r {
	case Verify, Audit, Revoke, Admin:
		return r, nil
	}
	return "", fmt.Errorf("there is no role %q: it is one of verify, audit, revoke, admin", name)
}

// May tells whether r suffices where one of needed is asked for.
func (r Role) May(needed ...Role) bool {
	for _, n := range needed {
		if r == n || r == Admin {
			return true
		}
	}
	return false
}

// Credential is one bearer, without the secret.
type Credential struct {
	Name      string    `json:"name"`
	Role      Role      `json:"role"`
	Hash      string    `json:"hash,omitempty"` // hex SHA-256 of the secret
	CreatedAt time.Time `json:"created_at"`
}

// prefix lets secret scanners and people see what the string is.
const prefix = "usher_"

// newSecret makes a secret of 256 random bits.
func newSecret() string {
	var b [32]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return prefix + base64.RawURLEncoding.EncodeToString(b[:])
}

func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// match compares in constant time with every credential, so that nothing can be learnt from how long it takes.
func match(all []Credential, secret string) (Credential, bool) {
	hash := []byte(hashOf(secret))
	found := -1
	for n, c := range all {
		if subtle.ConstantTimeCompare(hash, []byte(c.Hash)) == 1 {
			found = n
		}
	}
	if found < 0 {
		return Credential{}, false
	}
	return all[found], true
}

var nameGrammar = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// CheckName says what is wrong with a name for a new credential.
func CheckName(name string) error {
	if !nameGrammar.MatchString(name) {
		return fmt.Errorf("%q is no name for a credential: use up to 64 of a-z, 0-9, dot, dash and underscore, beginning with a letter or digit", name)
	}
	if name == "local" {
		return errors.New("the name local belongs to the CLI on this machine; choose another")
	}
	return nil
}
