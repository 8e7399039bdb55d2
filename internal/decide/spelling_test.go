package decide_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/usher-im/usher/internal/decide"
	"github.com/usher-im/usher/internal/reason"
	"github.com/usher-im/usher/internal/token"
	"github.com/usher-im/usher/internal/token/mint"
)

// The same is shown of a token's parts alone in internal/token. Here the whole door is tried, whose cache has the true
// token in it and must know it from each of the others.
func TestDecide_NoBitOfATokenThatIsAllowedCanBeFlipped(t *testing.T) {
	for _, alg := range token.Algorithms() {
		t.Run(string(alg), func(t *testing.T) {
			t.Parallel()
			h, raw := allowed(t, alg)
			for i := range len(raw) * 8 {
				flipped := []byte(raw)
				flipped[i/8] ^= 1 << (i % 8)
				mustDeny(t, h, string(flipped), fmt.Sprintf("bit %d of byte %d flipped", i%8, i/8))
			}
			mustAllow(t, h, raw)
		})
	}
}

func TestDecide_NoOtherSpellingOfATokenThatIsAllowedGetsIn(t *testing.T) {
	for _, alg := range token.Algorithms() {
		t.Run(string(alg), func(t *testing.T) {
			t.Parallel()
			h, raw := allowed(t, alg)
			for i := range len(raw) + 1 {
				for _, c := range []string{"\n", "=", "."} {
					mustDeny(t, h, raw[:i]+c+raw[i:], fmt.Sprintf("%q before byte %d", c, i))
				}
			}
			parts := strings.Split(raw, ".")
			for p, part := range parts {
				for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" {
					other := append([]string{}, parts...)
					if other[p] = part[:len(part)-1] + string(c); other[p] != part {
						mustDeny(t, h, strings.Join(other, "."), fmt.Sprintf("part %d with %c at its end", p, c))
					}
				}
			}
			mustAllow(t, h, raw)
		})
	}
}

// allowed is a door that has just let in a token, by a key of its algorithm.
func allowed(t *testing.T, alg token.Algorithm) (*house, string) {
	t.Helper()
	private, public := mint.SharedKey(alg)
	source := `secret: "` + secret + `"`
	if alg.Symmetric() {
		private = secret
	} else {
		pem, err := mint.PublicPEM(public)
		if err != nil {
			t.Fatal(err)
		}
		source = fmt.Sprintf("pem: %q", pem)
	}
	h := open(t, fmt.Sprintf(`
profiles:
  default:
    issuers: [{iss: my-app, algorithms: [%s], keys: [{%s, kid: k}], audiences: [jitsi]}]
`, alg, source))
	raw, err := mint.Token(mint.Spec{Alg: alg, Key: private, Kid: "k", Claims: good("room", nil, "context", nil)})
	if err != nil {
		t.Fatal(err)
	}
	mustAllow(t, h, raw)
	return h, raw
}

func mustAllow(t *testing.T, h *house, raw string) {
	t.Helper()
	if v := h.ask(t, decide.Question{Token: raw, Stage: decide.Connect}); code(v) != reason.None {
		t.Fatalf("the token itself is denied: %v", v.Problem)
	}
}

func mustDeny(t *testing.T, h *house, raw, what string) {
	t.Helper()
	if v := h.ask(t, decide.Question{Token: raw, Stage: decide.Connect}); code(v) == reason.None {
		t.Errorf("let in with %s", what)
	}
}
