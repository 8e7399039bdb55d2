package token_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"

	"github.com/usher-im/usher/internal/reason"
	"github.com/usher-im/usher/internal/token"
	"github.com/usher-im/usher/internal/token/mint"
)

// vector is one file in testdata/hostile: a token, spelt out or made from the members below, and what is said of it.
type vector struct {
	Source string // where the case comes from
	Says   string // what it tries

	Token      string          // as it is; else it is made:
	Header     string          // the header's text
	Payload    string          // the payload's text
	PayloadHex string          `json:"payload_hex"`
	JWK        json.RawMessage // the key that verifies
	Key        string          // or the algorithm whose test key verifies; Sign by default
	Sign       string          // the algorithm that signs, HS256 by default
	SignWith   string          `json:"sign_with"` // "another key"
	Secret     string          // "pem of RS256": the secret is that public key
	Edit       string          // what is done to the signature, see edits

	AfterHeader  string   `json:"after_header"` // replaces the header after signing
	AfterPayload string   `json:"after_payload"`
	Append       []string // goes behind each part
	Alphabet     string   // "standard": + and / for - and _
	Stray        *int     // the part whose last character gets a stray bit
	Dots         string   // goes where the second dot is
	Serialise    string   // "json"

	Want      reason.Code // empty: good
	Detail    string      // what the detail must say
	Kid       string      // what the kid must read as
	Signature bool        // the signature must verify, whatever else is wrong
}

// noon is the moment at which vectors and tests are judged.
var noon = time.Unix(1790000000, 0)

func TestParse_HostileTokensGetTheirReason(t *testing.T) {
	files, err := filepath.Glob("testdata/hostile/*.json")
	if err != nil || len(files) < 200 {
		t.Fatalf("found %d vectors, %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) { readVector(t, file).check(t) })
	}
}

func readVector(t testing.TB, file string) *vector {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var v vector
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if v.Source == "" || v.Says == "" {
		t.Fatalf("%s does not say where it comes from and what it tries", file)
	}
	return &v
}

func (v *vector) check(t *testing.T) {
	raw, key := v.make(t)
	parsed, problem := judge(raw, key)
	switch {
	case problem == nil && v.Want != "":
		t.Errorf("%s: let in, want %s", v.Says, v.Want)
	case problem != nil && problem.Code != v.Want:
		t.Errorf("%s: got %v, want %q", v.Says, problem, v.Want)
	case problem != nil && !strings.Contains(problem.Detail, v.Detail):
		t.Errorf("detail %q does not say %q", problem.Detail, v.Detail)
	}
	if problem != nil && len(problem.Detail) > 256 {
		t.Errorf("detail has %d bytes: %s", len(problem.Detail), problem.Detail)
	}
	if v.Kid != "" && (parsed == nil || parsed.Header.Kid != v.Kid) {
		t.Errorf("kid is not %q", v.Kid)
	}
	if v.Signature && !verifiesAnyway(t, raw, key) {
		t.Error("the signature does not verify")
	}
}

// judge takes raw through what this package checks, in the order of the checks.
func judge(raw string, key any) (*token.Token, *reason.Problem) {
	parsed, problem := token.Parse(raw, token.Limits{})
	if problem != nil {
		return nil, problem
	}
	alg, known := token.ParseAlgorithm(parsed.Header.Alg)
	if !known {
		return nil, &reason.Problem{Code: reason.AlgorithmNotAllowed}
	}
	if err := alg.Fits(key); err != nil {
		return nil, &reason.Problem{Code: reason.AlgorithmNotAllowed, Detail: err.Error()}
	}
	if err := token.NewVerifier(key).Verify(alg, parsed.SigningInput, parsed.Signature); err != nil {
		return nil, &reason.Problem{Code: reason.SignatureInvalid, Detail: err.Error()}
	}
	times, problem := parsed.Claims.Times(token.Auto)
	if problem != nil {
		return nil, problem
	}
	return parsed, token.TimeRules{Leeway: 10 * time.Second, RequireExp: true}.Check(times, noon)
}

// verifiesAnyway checks a signature without Parse, for examples whose payload is no claims set.
func verifiesAnyway(t *testing.T, raw string, key any) bool {
	last := strings.LastIndexByte(raw, '.')
	signature, err := base64.RawURLEncoding.DecodeString(raw[last+1:])
	if err != nil {
		t.Fatal(err)
	}
	for _, alg := range token.Algorithms() {
		if strings.Contains(decoded(t, raw[:strings.IndexByte(raw, '.')]), string(alg)) {
			return token.NewVerifier(key).Verify(alg, []byte(raw[:last]), signature) == nil
		}
	}
	return false
}

func (v *vector) make(t testing.TB) (raw string, key any) {
	t.Helper()
	if v.JWK != nil {
		key = fromJWK(t, v.JWK)
	}
	if v.Token != "" {
		return v.Token, key
	}
	sign := token.Algorithm(v.Sign)
	if sign == "" {
		sign = token.HS256
	}
	private, public := mint.SharedKey(sign)
	if v.Key != "" {
		_, public = mint.SharedKey(token.Algorithm(v.Key))
	}
	if v.SignWith == "another key" {
		private, _ = mint.Key(sign)
	}
	if alg, ok := strings.CutPrefix(v.Secret, "pem of "); ok {
		_, known := mint.SharedKey(token.Algorithm(alg))
		pem, err := mint.PublicPEM(known)
		if err != nil {
			t.Fatal(err)
		}
		private = []byte(pem)
	}
	payload := []byte(v.Payload)
	if v.PayloadHex != "" {
		payload, _ = hex.DecodeString(v.PayloadHex)
	}
	raw, err := mint.Raw(sign, private, []byte(v.Header), payload)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(raw, ".")
	if v.Edit != "" {
		parts[2] = encoded(edits[v.Edit](t, private, parts[0]+"."+parts[1], []byte(decoded(t, parts[2]))))
	}
	return v.respell(t, parts), public
}

// respell does to the parts of a signed token what the vector says.
func (v *vector) respell(t testing.TB, parts []string) string {
	if v.AfterHeader != "" {
		parts[0] = encoded([]byte(v.AfterHeader))
	}
	if v.AfterPayload != "" {
		parts[1] = encoded([]byte(v.AfterPayload))
	}
	for i, tail := range v.Append {
		parts[i] += tail
	}
	if v.Stray != nil {
		parts[*v.Stray] = strayBit(t, parts[*v.Stray])
	}
	raw := strings.Join(parts, ".")
	if v.Alphabet == "standard" {
		swapped := strings.NewReplacer("-", "+", "_", "/").Replace(raw)
		if swapped == raw {
			t.Fatal("the token has neither - nor _")
		}
		return swapped
	}
	if v.Dots != "" {
		return parts[0] + "." + parts[1] + v.Dots + parts[2]
	}
	if v.Serialise == "json" {
		return `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`
	}
	return raw
}

func fromJWK(t testing.TB, text []byte) any {
	t.Helper()
	key, err := jwk.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	var material any
	if err := key.Raw(&material); err != nil {
		t.Fatal(err)
	}
	return material
}

func decoded(t testing.TB, part string) string {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func encoded(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
