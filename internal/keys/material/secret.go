package material

import (
	"bytes"
	"errors"
	"fmt"
)

// Secret takes value as a shared secret. With allowShort, any that is not empty will do, but never a key: what is public
// would then sign tokens.
func Secret(value []byte, allowShort bool) (Key, error) {
	if len(value) == 0 {
		return Key{}, errors.New("the secret is empty")
	}
	if bytes.Contains(value, []byte("-----BEGIN ")) {
		return Key{}, errors.New("the secret is a key or certificate, which others may have too, and whoever has it could write tokens; name it as pem: instead, with algorithms such as RS256")
	}
	if len(value) < minSecret && !allowShort {
		return Key{}, fmt.Errorf("the secret has %d bytes, and one under %d can be guessed from a single token; "+
			"use a longer one (openssl rand -base64 48), or set allow_short_secret: true on the issuer (where JWT_* variables are the config: USHER_ALLOW_SHORT_SECRET=true)", len(value), minSecret)
	}
	return Key{Value: bytes.Clone(value)}, nil
}

// SecretFile takes a file's content as a shared secret.
func SecretFile(content []byte, allowShort bool) (Key, error) {
	return Secret(SecretIn(content), allowShort)
}

// SecretIn is the secret that a file holds: one newline at its end was put there by an editor or by echo.
func SecretIn(content []byte) []byte {
	content, cut := bytes.CutSuffix(content, []byte("\n"))
	if cut {
		content = bytes.TrimSuffix(content, []byte("\r"))
	}
	return content
}
