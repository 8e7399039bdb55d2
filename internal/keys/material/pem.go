package material

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"crypto"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// PEM takes the one public key in data: a PKIX or PKCS#1 public key, or an X.509 certificate, of which only the key
// counts (its dates and its chain are the issuer's affair, as in Jitsi's modules). Of a chain, the first certificate.
// file names the place in the error that refuses a private key.
func PEM(data []byte, file string) (Key, error) {
	var found any
	var chain bool
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return Key{}, privatePEM(file)
		}
		if found != nil && chain && block.Type == "CERTIFICATE" {
			continue // what follows the leaf are its issuers
		}
		if found != nil {
			return Key{}, errors.New("it holds more than one key; give each its own file")
		}
		value, err := block2key(block)
		if err != nil {
			return Key{}, err
		}
		found, chain = value, block.Type == "CERTIFICATE"
	}
	if found == nil {
		return Key{}, errors.New("it holds no PEM public key or certificate (-----BEGIN PUBLIC KEY-----)")
	}
	return public(found)
}

func block2key(block *pem.Block) (any, error) {
	var value any
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		value, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		value, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		var cert *x509.Certificate
		if cert, err = x509.ParseCertificate(block.Bytes); err == nil {
			value = cert.PublicKey
		}
	default:
		return nil, fmt.Errorf("it holds a PEM block of type %s; use a public key or a certificate", Quote(block.Type))
	}
	if err != nil {
		return nil, fmt.Errorf("its PEM block of type %s cannot be read", block.Type)
	}
	return value, nil
}

// public takes a public key that is sound, and gives it its thumbprint.
func public(value any) (Key, error) {
	if err := sound(value); err != nil {
		return Key{}, err
	}
	k, err := jwk.FromRaw(value)
	if err != nil {
		return Key{}, errors.New("it is a key of a kind that has no thumbprint")
	}
	sum, err := k.Thumbprint(crypto.SHA256)
	if err != nil {
		return Key{}, errors.New("it is a key of a kind that has no thumbprint")
	}
	return Key{Value: value, Thumbprint: base64.RawURLEncoding.EncodeToString(sum)}, nil
}

// privatePEM refuses a key that signs: whoever reads the verifier's files could mint tokens. It names the line that
// makes the file that is wanted.
func privatePEM(file string) error {
	if file == "" {
		return errors.New("it is a private key, which must not leave the issuer; publish its public part (openssl pkey -pubout)")
	}
	out := strings.TrimSuffix(file, filepath.Ext(file)) + ".pub.pem"
	return fmt.Errorf("it is a private key, which the verifier must not hold; make its public part with "+
		"`openssl pkey -in %s -pubout -out %s` and name that file", shellQuote(file), shellQuote(out))
}

func shellQuote(path string) string {
	plain := func(r rune) bool {
		return r == '/' || r == '.' || r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
	}
	if strings.IndexFunc(path, func(r rune) bool { return !plain(r) }) < 0 {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
