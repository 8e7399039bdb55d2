// Package token turns a raw JWT into its header and claims, strictly, and checks signatures and times.
//
// Parse is the first check of semantics, "Shape": three canonical base64url parts, strict JSON without duplicate
// members, no extension that we do not know, every claim of its own type. Verify checks a signature over the bytes as
// received, with one key of the right type. Behind it stand jwx for ES and EdDSA, crypto/rsa for PS, and what keeps the
// beginnings of a check for RS and HS (exponentiation, mac). Times reads the clock claims.
//
// Nothing here does I/O or reads a clock, and nothing panics on input. Strings of a Token alias the decoded payload,
// which is made afresh for each token; only SigningInput aliases the string that Parse was given.
package token
