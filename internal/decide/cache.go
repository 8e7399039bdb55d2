package decide

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"time"

	"github.com/maypok86/otter/v2"
)

// cacheKey names a proof: SHA-256 over profile, host and all three parts of the token as received. Never the
// fingerprint: that leaves the signature out, and any signature would pass once a good one was seen.
// The issuer block and the key's generation stand in the entry and are compared at each use.
type cacheKey struct {
	// grant tells apart the two names of an entry, so that who knows a token cannot pass its hash off as a grant.
	grant bool
	sum   [sha256.Size]byte
}

// cache keeps what signatures have proven, under the hash of the token and under the grant.
type cache struct {
	secret  [32]byte
	entries *otter.Cache[cacheKey, *Proven]
}

func newCache(maxWeight uint64) *cache {
	c := &cache{entries: otter.Must(&otter.Options[cacheKey, *Proven]{
		MaximumWeight: maxWeight,
		// Each entry has two names: half its weight for each.
		Weigher: func(_ cacheKey, p *Proven) uint32 { return uint32(p.weight() / 2) },
	})}
	if _, err := rand.Read(c.secret[:]); err != nil {
		panic("the operating system gives no random bytes: " + err.Error())
	}
	return c
}

// keyOf hashes a question's token with where it was shown.
func keyOf(profile, host, raw string) cacheKey {
	h := sha256.New()
	var buf [512]byte
	b := append(append(append(append(buf[:0], profile...), 0), host...), 0)
	h.Write(b)
	h.Write(bytesOf(raw))
	var k cacheKey
	h.Sum(k.sum[:0])
	return k
}

// seen gives the proof of a token that was shown before, if everything that it rested on still stands.
func (c *cache) seen(k cacheKey, now time.Time) *Proven {
	p, ok := c.entries.GetIfPresent(k)
	if !ok || !p.stands(now) {
		return nil
	}
	return p
}

// granted gives the proof behind a grant. Asked from another host or profile, or after a reload, it is not known.
func (c *cache) granted(grant string, p *profile, host string, now time.Time) *Proven {
	k := cacheKey{grant: true}
	if len(grant) != base64.RawURLEncoding.EncodedLen(len(k.sum)) {
		return nil
	}
	if _, err := base64.RawURLEncoding.Strict().Decode(k.sum[:], bytesOf(grant)); err != nil {
		return nil
	}
	proven := c.seen(k, now)
	if proven == nil || proven.profile != p || proven.host != host {
		return nil
	}
	return proven
}

// grantFor makes the grant of a proof: an HMAC under a key that lives as long as this cache.
func (c *cache) grantFor(k cacheKey) (string, cacheKey) {
	mac := hmac.New(sha256.New, c.secret[:])
	mac.Write(k.sum[:])
	g := cacheKey{grant: true}
	mac.Sum(g.sum[:0])
	return base64.RawURLEncoding.EncodeToString(g.sum[:]), g
}

func (c *cache) keep(token, grant cacheKey, p *Proven) {
	c.entries.Set(token, p)
	c.entries.Set(grant, p)
}
