package token_test

import (
	"crypto/sha256"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/usher-im/usher/internal/reason"
	"github.com/usher-im/usher/internal/token"
	"github.com/usher-im/usher/internal/token/mint"
)

func TestParse_SizeLimits(t *testing.T) {
	raw := compact(`{"alg":"HS256"}`, `{"x":"`+strings.Repeat("x", 6000)+`"}`)
	for _, c := range []struct {
		raw  string
		max  int
		want reason.Code
	}{
		{"", 0, reason.TokenMissing},
		{raw, 0, reason.None}, {raw, len(raw), reason.None}, {raw, len(raw) - 1, reason.TokenTooLarge},
		{strings.Repeat("x", 8193), 0, reason.TokenTooLarge}, {strings.Repeat("x", 8192), 0, reason.TokenMalformed},
	} {
		if _, problem := token.Parse(c.raw, token.Limits{MaxSize: c.max}); codeOf(problem) != c.want {
			t.Errorf("%d bytes of at most %d: %v, want %q", len(c.raw), c.max, problem, c.want)
		}
	}
}

// A member that stands twice is found wherever it stands, and however many members there are between and around.
func TestParse_NoMemberStandsTwiceAmongMany(t *testing.T) {
	member := func(n int) string { return fmt.Sprintf(`"m%d":%d`, n, n) }
	for _, count := range []int{2, 31, 32, 33, 34, 64, 200} {
		all := make([]string, count)
		for n := range all {
			all[n] = member(n)
		}
		flat := strings.Join(all, ",")
		for payload, good := range map[string]bool{
			"{" + flat + "}": true,
			// Each object's names are its own, and those of one that has ended are forgotten.
			`{"a":{` + flat + `},"b":{` + flat + `},"m0":1,"m40":1}`: true,
			`{"a":{` + flat + `},"b":1,"a":2}`:                       false,
		} {
			if _, problem := token.Parse(compact(`{"alg":"x"}`, payload), token.Limits{}); (problem == nil) != good {
				t.Errorf("%d members: %v", count, problem)
			}
		}
		for n := range all {
			for _, payload := range []string{"{" + flat + "," + member(n) + "}", `{"a":{` + flat + "," + member(n) + "}}"} {
				if _, problem := token.Parse(compact(`{"alg":"x"}`, payload), token.Limits{}); codeOf(problem) != reason.TokenMalformed {
					t.Errorf("member %d of %d stands twice: %v", n, count, problem)
				}
			}
		}
	}
}

func TestParse_TypesAreListed(t *testing.T) {
	for _, c := range []struct {
		header string
		types  []string
		good   bool
	}{
		{`{"alg":"x"}`, nil, true},
		{`{"alg":"x"}`, []string{"at+jwt"}, true},
		{`{"alg":"x","typ":"JWT"}`, nil, true},
		{`{"alg":"x","typ":"jwt"}`, nil, true},
		{`{"alg":"x","typ":"application/JWT"}`, nil, true},
		{`{"alg":"x","typ":"application/x/JWT"}`, nil, false},
		{`{"alg":"x","typ":"text/jwt"}`, nil, false},
		{`{"alg":"x","typ":"application-JWT"}`, nil, false},
		{`{"alg":"x","typ":"JWT "}`, nil, false},
		{`{"alg":"x","typ":"at+jwt"}`, nil, false},
		{`{"alg":"x","typ":"AT+JWT"}`, []string{"JWT", "at+jwt"}, true},
		{`{"alg":"x","typ":"at+jwt"}`, []string{"application/at+jwt"}, true},
		{`{"alg":"x","typ":"JWT"}`, []string{"at+jwt"}, false},
	} {
		parsed, problem := token.Parse(compact(c.header, `{}`), token.Limits{Types: c.types})
		if (problem == nil) != c.good {
			t.Errorf("%s with %v: %v", c.header, c.types, problem)
		}
		if parsed != nil && parsed.Header.Alg != "x" {
			t.Errorf("%s: alg %q", c.header, parsed.Header.Alg)
		}
	}
}

func TestParse_HeaderTellsNoKidFromAnEmptyOne(t *testing.T) {
	for header, want := range map[string]token.Header{
		`{"alg":"HS256"}`:                          {Alg: "HS256"},
		`{"alg":"HS256","kid":""}`:                 {Alg: "HS256", HasKid: true},
		`{"kid":"a\/b","typ":"JWT","alg":"HS256"}`: {Alg: "HS256", HasKid: true, Kid: "a/b", Typ: "JWT"},
	} {
		parsed, problem := token.Parse(compact(header, `{}`), token.Limits{})
		if problem != nil || parsed.Header != want {
			t.Errorf("%s: %+v, %v", header, parsed, problem)
		}
	}
}

func TestParse_NeverEchoesTheToken(t *testing.T) {
	for _, payload := range []string{`{"iss":7}`, `{"a":1,"a":2}`, `{"x":"\ud800"}`, `nothing`} {
		raw := compact(`{"alg":"HS256"}`, payload)
		for _, spelt := range []string{raw, raw + "=", raw[:len(raw)-5]} {
			_, problem := token.Parse(spelt, token.Limits{})
			if problem == nil {
				t.Fatalf("%s: let in", payload)
			}
			for _, part := range strings.Split(raw, ".")[:2] {
				if strings.Contains(problem.Error(), part) {
					t.Errorf("%v holds a part of the token", problem)
				}
			}
		}
	}
}

func TestFingerprint_LeavesTheSignatureOut(t *testing.T) {
	private, _ := mint.SharedKey(token.ES256)
	spec := mint.Spec{Alg: token.ES256, Key: private, Claims: map[string]any{"iss": "a"}}
	first, err := mint.Token(spec)
	if err != nil {
		t.Fatal(err)
	}
	second, err := mint.Token(spec) // ECDSA signs differently each time
	if err != nil || first == second {
		t.Fatal("not two signatures", err)
	}
	a, okA := token.FingerprintOf(first)
	b, okB := token.FingerprintOf(second)
	sum := sha256.Sum256([]byte(first[:strings.LastIndexByte(first, '.')]))
	if !okA || !okB || a != b || a != [16]byte(sum[:16]) {
		t.Errorf("%x and %x, want the front of %x", a, b, sum)
	}
	parsed, _ := token.Parse(first, token.Limits{})
	if token.Fingerprint(parsed.SigningInput) != a {
		t.Error("Fingerprint and FingerprintOf differ")
	}
	for _, none := range []string{"", "a.b", first + "=", first + "\n", " " + first, "a.b.c.d"} {
		if _, ok := token.FingerprintOf(none); ok {
			t.Errorf("%q has a fingerprint", none)
		}
	}
}

// The worst payloads that fit, by what they make a careless reader allocate.
func TestParse_MemoryIsASmallMultipleOfTheToken(t *testing.T) {
	const size = 48 << 10
	fill := func(unit string) string { return strings.Repeat(unit, size/len(unit)) }
	for name, payload := range map[string]string{
		"a long string":      `{"iss":"` + fill("x") + `"}`,
		"escapes":            `{"iss":"` + fill(`\/`) + `"}`,
		"unicode escapes":    `{"iss":"` + fill(`\u0041`) + `"}`,
		"unread escapes":     `{"x":"` + fill(`\u0041`) + `"}`,
		"rooms":              `{"room":[` + fill(`"",`) + `""]}`,
		"rooms with escapes": `{"room":[` + fill(`"\/",`) + `""]}`,
		"numbers":            `{"x":[` + fill(`1,`) + `1]}`,
		"objects":            `{"x":[` + fill(`{},`) + `{}]}`,
		"names":              `{"x":[` + fill(`{"a":1,"b":2},`) + `{}]}`,
		"escaped names":      `{"x":[` + fill(`{"\/":1},`) + `{}]}`,
		"a long number":      `{"exp":` + fill("9") + `}`,
		"open arrays":        `{"x":` + fill("["),
		"open strings":       `{"x":"` + fill(`\"`),
		"white space":        fill(" ") + `{}` + fill(" "),
	} {
		raw := compact(`{"alg":"HS256"}`, payload)
		if _, problem := token.Parse(raw, token.Limits{MaxSize: len(raw)}); problem != nil && problem.Code != reason.TokenMalformed {
			t.Errorf("%s: %v", name, problem)
		}
		if used := allocated(func() { token.Parse(raw, token.Limits{MaxSize: len(raw)}) }); used > 10*uint64(len(raw)) {
			t.Errorf("%s: %d bytes for a token of %d", name, used, len(raw))
		}
	}
}

func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestParse_AllocatesTwiceForAnOrdinaryToken(t *testing.T) {
	private, _ := mint.SharedKey(token.HS256)
	raw := kilobyte(t, token.HS256, private)
	if got := testing.AllocsPerRun(100, func() { token.Parse(raw, token.Limits{}) }); got > 2 {
		t.Errorf("%v allocations", got)
	}
}
