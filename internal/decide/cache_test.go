package decide

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/keys"
	"github.com/usher-im/usher/internal/room"
	"github.com/usher-im/usher/internal/token"
)

// proofs are made out of nothing: what a cache does with them does not depend on what they prove.
type proofs struct {
	*cache
	profile *profile
	issuer  *issuer
}

func newProofs(maxWeight uint64) *proofs {
	return &proofs{cache: newCache(maxWeight), profile: &profile{}, issuer: &issuer{keys: &keys.Ring{}}}
}

func nameOfProof(n int) sum { return sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n))) }

// add keeps the n-th proof and gives its grant.
func (p *proofs) add(n int) string {
	proven := &Proven{Claims: &token.Claims{}, name: nameOfProof(n), profile: p.profile, issuer: p.issuer}
	p.keep(proven)
	return string(p.appendGrant(nil, proven.name))
}

func (p *proofs) size() int {
	all := p.current.Load()
	return all.young.tokens.Size() + all.old.tokens.Size()
}

func TestCache_HoldsNoMoreThanItMay(t *testing.T) {
	one := uint64((&Proven{Claims: &token.Claims{}}).weight())
	p := newProofs(100 * one)
	for n := range 10_000 {
		p.add(n)
		if p.size() > 100 {
			t.Fatalf("after %d proofs it holds %d, and may hold 100", n+1, p.size())
		}
	}
	if p.size() < 50 {
		t.Errorf("it holds %d where it may hold 100", p.size())
	}
}

// A pattern of twenty characters may take as much memory as a thousand tokens without one.
func TestCache_CountsThePatternsOfATokenToo(t *testing.T) {
	p := room.Rules{Patterns: room.PatternsRE2}.Prepare(room.Claim{Rooms: []string{`\pL{40}`}, Present: true, Regex: true})
	plain, patterned := &Proven{Claims: &token.Claims{}}, &Proven{Claims: &token.Claims{}, room: p}
	if p.Memory() < 100_000 || patterned.weight() != plain.weight()+p.Memory() {
		t.Errorf("the patterns take %d bytes, and the token %d with them and %d without", p.Memory(), patterned.weight(), plain.weight())
	}
}

func TestCache_KeepsWhatIsUsedAndForgetsWhatIsNot(t *testing.T) {
	now := time.Now()
	p := newProofs(100 * uint64((&Proven{Claims: &token.Claims{}}).weight()))
	byToken, byGrant, idle := nameOfProof(1), p.add(2), p.add(3)
	p.add(1)
	for n := range 1000 {
		p.add(10 + n)
		if p.seen(byToken, now) == nil || p.granted(byGrant, p.profile, "", now) == nil {
			t.Fatalf("after %d further proofs one that is used all the time was gone", n+1)
		}
	}
	if p.seen(nameOfProof(2), now) == nil || p.granted(p.add(1), p.profile, "", now) == nil {
		t.Error("a proof that is used by one name is not found by the other")
	}
	if p.seen(nameOfProof(3), now) != nil || p.granted(idle, p.profile, "", now) != nil {
		t.Error("a proof that nobody used was still there")
	}
}

func TestCache_ATokensHashIsNoGrant(t *testing.T) {
	p := newProofs(1 << 20)
	p.add(1)
	name := nameOfProof(1)
	if p.granted(grantSpelling.EncodeToString(name[:]), p.profile, "", time.Now()) != nil {
		t.Error("who knows a token can make a grant of it")
	}
}

func TestCache_HalvesOfGrantsMakeNone(t *testing.T) {
	p := newProofs(1 << 20)
	var a, b sum
	for grant, into := range map[string]*sum{p.add(1): &a, p.add(2): &b} {
		if _, err := grantSpelling.Decode(into[:], []byte(grant)); err != nil {
			t.Fatal(err)
		}
	}
	for what, halves := range map[string][2][]byte{
		"of two": {a[:16], b[16:]}, "swapped": {a[16:], a[:16]}, "the same twice": {a[:16], a[:16]},
	} {
		if p.granted(grantSpelling.EncodeToString(slices.Concat(halves[:]...)), p.profile, "", time.Now()) != nil {
			t.Errorf("halves %s are taken for a grant", what)
		}
	}
}

func TestCache_HoldsItsBoundWhenManyUseItAtOnce(t *testing.T) {
	p := newProofs(200 * uint64((&Proven{Claims: &token.Claims{}}).weight()))
	grants := [4]string{p.add(1), p.add(2), p.add(3), p.add(4)}
	var wg sync.WaitGroup
	for w, grant := range grants {
		wg.Go(func() {
			for n := range 2000 {
				p.add(10 + w*2000 + n)
				p.granted(grant, p.profile, "", time.Now())
			}
		})
	}
	wg.Wait()
	// A proof that one of them was about to store when the generation turned may come to the older one late.
	if p.size() > 200+len(grants) {
		t.Errorf("it holds %d proofs, and may hold 200", p.size())
	}
}
