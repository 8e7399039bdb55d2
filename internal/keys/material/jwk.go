package material

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"

	"github.com/usher-im/usher/internal/token"
)

// SetRules is what a key set may bring.
type SetRules struct {
	// Secrets: keys of type oct. Never from a URL: who can answer for it could then hand out a secret of its own.
	Secrets bool
	// AllowShortSecret as for Secret.
	AllowShortSecret bool
}

// most bounds the keys of one set, and with them what one answer of a key server can make us hold.
const most = 1000

// errEncryption is for keys that are published beside the signing keys (Keycloak does) and are none of ours.
var errEncryption = errors.New("it is meant for encryption")

// JWKS takes the keys of a JSON Web Key Set (RFC 7517), one by one: one bad key does not spoil the set, which is what
// jwx makes of it. The bad ones are named in left; keys for encryption are passed over. A set without any key that
// can be used is an error.
func JWKS(data []byte, rules SetRules) (keys []Key, left []error, err error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, nil, errors.New(`it is no JSON Web Key Set: it must be one JSON object {"keys": […]}`)
	}
	if len(set.Keys) > most {
		return nil, nil, fmt.Errorf("it holds %d keys; at most %d are taken", len(set.Keys), most)
	}
	for i, raw := range set.Keys {
		k, kid, err := parseJWK(raw, rules)
		switch {
		case errors.Is(err, errEncryption):
		case err != nil:
			left = append(left, leftOut(i, kid, err))
		default:
			keys = append(keys, k)
		}
	}
	return some(keys, left)
}

func leftOut(i int, kid string, err error) error {
	if kid == "" {
		return fmt.Errorf("key %d is left out: %w", i+1, err)
	}
	return fmt.Errorf("key %s is left out: %w", Quote(kid), err)
}

// some refuses a set that would leave the issuer without any key: it never replaces one that has some.
func some(keys []Key, left []error) ([]Key, []error, error) {
	if len(keys) > 0 {
		return keys, left, nil
	}
	if len(left) > 0 {
		return nil, left, fmt.Errorf("it holds no usable key: %w", left[0])
	}
	return nil, nil, errors.New("it holds no key that verifies signatures")
}

func parseJWK(raw json.RawMessage, rules SetRules) (k Key, kid string, err error) {
	parsed, err := decode(raw)
	if err != nil {
		return Key{}, nameOf(raw), err
	}
	kid = parsed.KeyID()
	if err := meant(parsed); err != nil {
		return Key{}, kid, err
	}
	k, err = material(parsed, rules)
	if err != nil {
		return Key{}, kid, err
	}
	k.Kid = kid
	k.Alg, err = ownAlgorithm(parsed, k.Value)
	return k, kid, err
}

// nameOf is the kid of a key that cannot be read otherwise, so that its owner finds it.
func nameOf(raw json.RawMessage) string {
	var key struct {
		Kid string `json:"kid"`
	}
	_ = json.Unmarshal(raw, &key) // no name then
	return key.Kid
}

// decode has jwx read one key. What it says of a bad one may quote the key, so it is not passed on. It is also the one
// place where a library that nobody maintains any more reads what a stranger sent, outside of any request: a panic
// there would end the process, and becomes a bad key instead.
func decode(raw json.RawMessage) (key jwk.Key, err error) {
	defer func() {
		if recover() != nil {
			key, err = nil, errUnreadable
		}
	}()
	key, err = jwk.ParseKey(raw)
	if err != nil {
		return nil, errUnreadable
	}
	return key, nil
}

var errUnreadable = errors.New("it cannot be read as a JSON Web Key (RFC 7517) of type RSA, EC, OKP or oct")

// meant says why a key must not verify signatures by its publisher's own word (RFC 7517, sections 4.2 and 4.3).
func meant(key jwk.Key) error {
	switch use := key.KeyUsage(); use {
	case "", string(jwk.ForSignature):
	case string(jwk.ForEncryption):
		return errEncryption
	default:
		return fmt.Errorf("its use is %s, not sig", Quote(use))
	}
	ops := key.KeyOps()
	if len(ops) == 0 {
		return nil
	}
	for _, op := range ops {
		if op == jwk.KeyOpVerify {
			return nil
		}
	}
	return errors.New("its key_ops do not name verify")
}

func material(key jwk.Key, rules SetRules) (Key, error) {
	switch key.KeyType() {
	case jwa.OctetSeq:
		if !rules.Secrets {
			return Key{}, errors.New("it is a shared secret (oct), which is never taken from a URL")
		}
		var secret []byte
		if err := key.Raw(&secret); err != nil {
			return Key{}, errUnreadable
		}
		return Secret(secret, rules.AllowShortSecret)
	case jwa.RSA, jwa.EC, jwa.OKP:
	default:
		return Key{}, errUnreadable
	}
	switch key.(type) {
	case jwk.RSAPrivateKey, jwk.ECDSAPrivateKey, jwk.OKPPrivateKey:
		return Key{}, errors.New("it is a private key, which must not leave the issuer; publish the set without d")
	}
	var value any
	if err := key.Raw(&value); err != nil {
		return Key{}, errUnreadable
	}
	return public(value)
}

// ownAlgorithm is the alg that the key itself names (RFC 7517, section 4.4), which then is the only one that it serves.
func ownAlgorithm(key jwk.Key, value any) (token.Algorithm, error) {
	name := key.Algorithm().String()
	if name == "" {
		return "", nil
	}
	alg, known := token.ParseAlgorithm(name)
	if !known {
		if isEncryption(name) {
			return "", errEncryption
		}
		return "", fmt.Errorf("its alg %s is not one that verifies tokens", Quote(name))
	}
	if err := alg.Fits(value); err != nil {
		return "", fmt.Errorf("its own alg does not fit it: %w", err)
	}
	return alg, nil
}

func isEncryption(name string) bool {
	var a jwa.KeyEncryptionAlgorithm
	return a.Accept(name) == nil
}
