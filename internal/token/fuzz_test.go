package token_test

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/reason"
	"github.com/usher-im/usher/internal/token"
)

// FuzzParse wants of any bytes at all: no panic, a reason from the list, and one spelling of what is let through.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/hostile/*.json")
	for _, file := range files {
		raw, _ := readVector(f, file).make(f)
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		parsed, problem := token.Parse(raw, token.Limits{})
		readTheSameWithKnownHeaders(t, raw, parsed, problem)
		fingerprint, whole := token.FingerprintOf(raw)
		if problem != nil {
			switch problem.Code {
			case reason.TokenMissing, reason.TokenMalformed, reason.TokenTooLarge:
			default:
				t.Fatalf("a reason that is not Shape's: %v", problem)
			}
			if len(problem.Detail) > 400 {
				t.Fatalf("a detail of %d bytes", len(problem.Detail))
			}
			return
		}
		parts := strings.Split(raw, ".")
		if again := parts[0] + "." + encoded(parsed.Claims.Raw) + "." + encoded(parsed.Signature); again != raw {
			t.Fatalf("let in as %q and as %q", raw, again)
		}
		if !whole || fingerprint != token.Fingerprint(parsed.SigningInput) {
			t.Fatal("no fingerprint, or another one")
		}
		agrees(t, []byte(decoded(t, parts[0])), parsed.Claims.Raw, parsed)
	})
}

// readTheSameWithKnownHeaders wants of a token what was read of it, whichever headers are known: another one, and its own.
func readTheSameWithKnownHeaders(t *testing.T, raw string, parsed *token.Token, problem *reason.Problem) {
	t.Helper()
	other, _ := token.Parse(compact(`{"alg":"HS256","kid":"k"}`, `{}`), token.Limits{})
	known := new(token.KnownHeaders)
	for _, remembered := range []*token.Token{other, parsed} {
		if remembered == nil {
			continue
		}
		known.Remember(remembered)
		again, againProblem := token.Parse(raw, token.Limits{Known: known})
		if !reflect.DeepEqual(again, parsed) || !reflect.DeepEqual(againProblem, problem) {
			t.Fatalf("read as %+v (%v), and with a known header as %+v (%v)", parsed, problem, again, againProblem)
		}
	}
}

// FuzzPayload compares with encoding/json: what we take it takes with the same values, and what it takes and we refuse
// has a name.
func FuzzPayload(f *testing.F) {
	files, _ := filepath.Glob("testdata/hostile/*.json")
	for _, file := range files {
		f.Add([]byte(readVector(f, file).Payload))
	}
	f.Add([]byte(deploymentPage))
	header := []byte(`{"alg":"HS256"}`)
	f.Fuzz(func(t *testing.T, payload []byte) {
		raw := encoded(header) + "." + encoded(payload) + ".AAAA"
		parsed, problem := token.Parse(raw, token.Limits{MaxSize: 1 << 20})
		if problem == nil {
			agrees(t, header, payload, parsed)
			return
		}
		// As the value of a claim that nobody reads, only what is not strict remains to be refused.
		raw = encoded(header) + "." + encoded([]byte(`{"x":`+string(payload)+`}`)) + ".AAAA"
		_, problem = token.Parse(raw, token.Limits{MaxSize: 1 << 20})
		if problem != nil && json.Valid(payload) && !stricter(problem.Detail) {
			t.Fatalf("encoding/json takes %q, and we say %v", payload, problem)
		}
	})
}

// stricter tells whether detail names one of the things that encoding/json does not mind.
func stricter(detail string) bool {
	for _, says := range []string{"twice in one object", "not valid UTF-8", "half a surrogate pair", "levels of nesting", "more than 256 members"} {
		if strings.Contains(detail, says) {
			return true
		}
	}
	return false
}

// agrees compares what was parsed with what encoding/json reads.
func agrees(t *testing.T, header, payload []byte, parsed *token.Token) {
	t.Helper()
	head, claims := readAll(t, header), readAll(t, payload)
	if head["alg"] != parsed.Header.Alg {
		t.Fatalf("alg %v and %q", head["alg"], parsed.Header.Alg)
	}
	if kid, ok := head["kid"]; ok != parsed.Header.HasKid || ok && kid != parsed.Header.Kid {
		t.Fatalf("kid %v and %q", kid, parsed.Header.Kid)
	}
	c := parsed.Claims
	for name, got := range map[string]struct {
		value string
		set   bool
	}{
		"iss": {c.Issuer, c.Issuer != ""}, "sub": {c.Subject, c.Subject != ""}, "jti": {c.JTI, c.JTI != ""},
		"iat": {c.IssuedAt.Text, c.IssuedAt.Set}, "nbf": {c.NotBefore.Text, c.NotBefore.Set}, "exp": {c.Expires.Text, c.Expires.Set},
		"user_id": {c.TopUserID, c.TopUserID != ""},
	} {
		if want := text(claims[name]); want != got.value || want != "" && !got.set {
			t.Fatalf("%s is %q, encoding/json says %q", name, got.value, want)
		}
	}
	if _, ok := claims["room"]; ok != c.HasRoom || ok && !reflect.DeepEqual(list(claims["room"]), append([]string{}, c.Room...)) {
		t.Fatalf("room is %q, encoding/json says %v", c.Room, claims["room"])
	}
	if aud, ok := claims["aud"]; ok && !reflect.DeepEqual(list(aud), append([]string{}, c.Audience...)) {
		t.Fatalf("aud is %q, encoding/json says %v", c.Audience, aud)
	}
	agreesOnContext(t, claims, &c)
}

func agreesOnContext(t *testing.T, claims map[string]any, c *token.Claims) {
	t.Helper()
	context, ok := claims["context"].(map[string]any)
	if ok != c.Context.Present {
		t.Fatalf("context %t, encoding/json says %t", c.Context.Present, ok)
	}
	user, _ := context["user"].(map[string]any)
	room, _ := context["room"].(map[string]any)
	x := c.Context
	for name, got := range map[string][2]string{
		"tenant": {x.Tenant, text(context["tenant"])}, "id": {x.UserID, text(user["id"])}, "name": {x.UserName, text(user["name"])},
		"email": {x.UserEmail, text(user["email"])}, "affiliation": {x.UserAffiliation, text(user["affiliation"])},
		"regex":           {strconv.FormatBool(x.RoomRegex), strconv.FormatBool(yes(room["regex"]))},
		"moderator":       {strconv.FormatBool(x.Moderator), strconv.FormatBool(yes(user["moderator"]))},
		"security_bypass": {strconv.FormatBool(x.SecurityBypass), strconv.FormatBool(yes(user["security_bypass"]) || yes(room["security_bypass"]))},
	} {
		if got[0] != got[1] {
			t.Fatalf("%s is %q, encoding/json says %q", name, got[0], got[1])
		}
	}
	for path, raw := range map[string]json.RawMessage{"context": x.Raw, "context.user": x.User, "context.room": x.Room,
		"context.features": x.Features, "context.group": x.Group} {
		found, ok := c.Lookup(path)
		// A name may hold dots itself, and then Lookup prefers it.
		if _, dotted := claims[path]; !dotted && raw != nil && (!ok || !bytes.Equal(found, raw)) {
			t.Fatalf("%s is %s, Lookup says %s", path, raw, found)
		}
		if raw != nil && !json.Valid(raw) {
			t.Fatalf("%s is not JSON: %s", path, raw)
		}
	}
}

func readAll(t *testing.T, object []byte) map[string]any {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(object))
	decoder.UseNumber()
	var all map[string]any
	if err := decoder.Decode(&all); err != nil {
		t.Fatalf("encoding/json does not take %q: %v", object, err)
	}
	if decoder.More() {
		t.Fatalf("something follows %q", object)
	}
	return all
}

func text(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

func list(value any) []string {
	all := []string{}
	if one, ok := value.(string); ok {
		return append(all, one)
	}
	many, _ := value.([]any)
	for _, one := range many {
		all = append(all, text(one))
	}
	return all
}

func yes(value any) bool { return value == true || value == "true" }

// FuzzTimes wants of any number: malformed, or times that a clock shows and that keep their order.
func FuzzTimes(f *testing.F) {
	for _, literal := range []string{"0", "-0", "1", "1790000000", "1790000000000", "1e308", "1e309", "1e-300", "99999999999.999", "1e11", "253402300799999.4"} {
		f.Add(literal, "1790000000")
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		parsed, problem := parse(`{"nbf":` + first + `,"exp":` + second + `}`)
		if problem != nil {
			return
		}
		a, problemA := parsed.Claims.Times(token.Milliseconds)
		for _, mode := range []token.Timestamps{token.Auto, token.Seconds, token.Milliseconds} {
			got, problem := parsed.Claims.Times(mode)
			if problem != nil {
				if problem.Code != reason.TokenMalformed {
					t.Fatal(problem)
				}
				continue
			}
			if got.Expires <= 0 || got.NotBefore < 0 || time.UnixMilli(max(got.Expires, got.NotBefore)).UTC().Year() > 9999 {
				t.Fatalf("%s, %s in %s: %v", first, second, mode, got)
			}
			// Whatever the unit, a token cannot outlive the year 9999, nor be valid before it began.
			if (token.TimeRules{}).Check(got, time.UnixMilli(253402300800000)) == nil {
				t.Fatalf("%s never expires", second)
			}
			if problemA == nil && mode == token.Auto && got.Expires < a.Expires {
				t.Fatalf("%s read in seconds is earlier than in milliseconds", second)
			}
		}
	})
}
