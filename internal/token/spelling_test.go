package token_test

import (
	"strings"
	"testing"

	"github.com/usher-im/usher/internal/token"
	"github.com/usher-im/usher/internal/token/mint"
)

// small is a token that judge lets in, short so that each of its bits can be tried.
func small(t testing.TB, alg token.Algorithm) (raw string, public any) {
	t.Helper()
	private, public := mint.SharedKey(alg)
	raw, err := mint.Token(mint.Spec{Alg: alg, Key: private, Kid: "k", Claims: map[string]any{
		"iss": "my-app", "exp": noon.Unix() + 3600, "context": map[string]any{"user": map[string]any{"id": "a"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, problem := judge(raw, public); problem != nil {
		t.Fatal(problem)
	}
	return raw, public
}

func TestToken_AnyFlippedBitIsDenied(t *testing.T) {
	for _, alg := range token.Algorithms() {
		t.Run(string(alg), func(t *testing.T) {
			t.Parallel()
			raw, public := small(t, alg)
			for i := range len(raw) * 8 {
				flipped := []byte(raw)
				flipped[i/8] ^= 1 << (i % 8)
				if _, problem := judge(string(flipped), public); problem == nil {
					t.Errorf("let in with bit %d of byte %d flipped", i%8, i/8)
				}
			}
		})
	}
}

func TestToken_AnyFlippedBitOfTheDecodedPartsIsDenied(t *testing.T) {
	for _, alg := range token.Algorithms() {
		t.Run(string(alg), func(t *testing.T) {
			t.Parallel()
			raw, public := small(t, alg)
			parts := strings.Split(raw, ".")
			for p, part := range parts {
				plain := decoded(t, part)
				for i := range len(plain) * 8 {
					flipped := []byte(plain)
					flipped[i/8] ^= 1 << (i % 8)
					spelt := append([]string{}, parts...)
					spelt[p] = encoded(flipped)
					if _, problem := judge(strings.Join(spelt, "."), public); problem == nil {
						t.Errorf("let in with bit %d of part %d flipped", i, p)
					}
				}
			}
		})
	}
}

func TestToken_AnyOtherSpellingIsDenied(t *testing.T) {
	for _, alg := range token.Algorithms() {
		t.Run(string(alg), func(t *testing.T) {
			t.Parallel()
			raw, public := small(t, alg)
			for _, spelling := range spellings(t, raw) {
				if spelling == raw {
					continue
				}
				if _, problem := judge(spelling, public); problem == nil {
					t.Errorf("let in as %q", spelling)
				}
			}
		})
	}
}

// spellings are ways to write the same three parts that some reader takes.
func spellings(t testing.TB, raw string) []string {
	var all []string
	// Any byte that a decoder may skip or take for another, at any place.
	for i := range len(raw) + 1 {
		for _, c := range []string{"\n", "\r", " ", "\t", "\x00", "=", ".", "\\", "%", "\v", "\u00a0", "\u200b", "\ufeff", "A"} {
			all = append(all, raw[:i]+c+raw[i:])
		}
	}
	parts := strings.Split(raw, ".")
	for p := range parts {
		for _, tail := range []string{"=", "==", "A", "AA", "A==", "%3D", "%3d"} {
			all = append(all, with(parts, p, parts[p]+tail))
		}
		// Every value of the last character: the bits of it that stand for nothing included.
		for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" {
			all = append(all, with(parts, p, parts[p][:len(parts[p])-1]+string(c)))
		}
		all = append(all, with(parts, p, parts[p][:len(parts[p])-1]), with(parts, p, ""))
	}
	standard := strings.NewReplacer("-", "+", "_", "/").Replace(raw)
	all = append(all, standard, "Bearer "+raw, raw+"."+parts[2], parts[0]+"."+parts[1],
		strings.ReplaceAll(raw, ".", "%2E"), strings.ReplaceAll(raw, ".", "\u3002"), strings.ToUpper(raw), strings.ToLower(raw))
	return append(all, respelt(t, parts)...)
}

// respelt writes header and payload in other words that mean the same.
func respelt(t testing.TB, parts []string) []string {
	var all []string
	for p := range 2 {
		plain := decoded(t, parts[p])
		for _, other := range []string{
			" " + plain, plain + " ", plain + "\n", plain + "\x00", plain + plain, plain + "{}",
			strings.Replace(plain, ":", ": ", 1),
			strings.Replace(plain, "{", `{"x":1,`, 1),
			strings.Replace(plain, `"a`, `"\u0061`, 1),
			strings.Replace(plain, `"i`, `"\u0069`, 1),
		} {
			all = append(all, with(parts, p, encoded([]byte(other))))
		}
	}
	return all
}

func with(parts []string, at int, part string) string {
	changed := append([]string{}, parts...)
	changed[at] = part
	return strings.Join(changed, ".")
}
