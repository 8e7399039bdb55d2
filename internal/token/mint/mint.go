// Package mint writes and signs tokens, for `usher token mint` and for tests. The verifier never uses it.
package mint

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/usher-im/usher/internal/token"
)

// Spec is a token to be made.
type Spec struct {
	Alg token.Algorithm
	// Key signs: a secret as []byte or string, a private key as Key gives it, or a private PEM as []byte or string.
	Key any
	// Kid is left out of the header when empty.
	Kid string
	// Claims are the payload.
	Claims map[string]any
	// Header overrides and adds members; a nil value removes one. The signature is by Alg whatever it says.
	Header map[string]any
}

// Token makes and signs the compact form of s.
func Token(s Spec) (string, error) {
	header := map[string]any{"alg": string(s.Alg), "typ": "JWT"}
	if s.Kid != "" {
		header["kid"] = s.Kid
	}
	for name, value := range s.Header {
		if value == nil {
			delete(header, name)
			continue
		}
		header[name] = value
	}
	head, err := json.Marshal(header)
	if err != nil {
		return "", fmt.Errorf("write the token's header: %w", err)
	}
	claims := s.Claims
	if claims == nil {
		claims = map[string]any{}
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("write the token's claims: %w", err)
	}
	return Raw(s.Alg, s.Key, head, payload)
}

// Raw signs header and payload as they are, valid JSON or not.
func Raw(alg token.Algorithm, key any, header, payload []byte) (string, error) {
	input := encode(header) + "." + encode(payload)
	signature, err := Sign(alg, key, []byte(input))
	if err != nil {
		return "", err
	}
	return input + "." + encode(signature), nil
}

// Unsigned joins header and payload with an empty signature, as an unsecured JWS (RFC 7515, appendix A.5) does.
func Unsigned(header, payload []byte) string {
	return encode(header) + "." + encode(payload) + "."
}

// Sign gives alg's signature of input.
func Sign(alg token.Algorithm, key any, input []byte) ([]byte, error) {
	key, err := signingKey(alg, key)
	if err != nil {
		return nil, err
	}
	signer, err := jws.NewSigner(jwa.SignatureAlgorithm(alg))
	if err != nil {
		return nil, fmt.Errorf("there is no algorithm %q to sign with: %w", alg, err)
	}
	signature, err := signer.Sign(input, key)
	if err != nil {
		return nil, fmt.Errorf("sign with %s: %w", alg, err)
	}
	return signature, nil
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
