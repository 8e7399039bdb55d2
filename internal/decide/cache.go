package decide

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/puzpuzpuz/xsync/v4"
)

// sum names a proof, by the token that was shown or by the grant that was given for it.
type sum [sha256.Size]byte

// cache keeps what signatures have proven, under the hash of the token and under the grant. Reading takes no lock.
//
// It holds two generations. The younger takes what comes, and what is used of the older; when it weighs half of what the
// cache may, it becomes the older one, and that is dropped as a whole. So both names of a proof go together, letting go
// costs nothing, and a newcomer always gets its turn: a session joins seconds after it connected, and a cache that admits
// by frequency would drop the very grants that are about to be shown.
type cache struct {
	macs    sync.Pool // of hash.Hash, keyed by the secret of this cache
	most    int64     // the weight of one generation
	current atomic.Pointer[generations]
	turning sync.Mutex
}

type generations struct{ young, old *generation }

// generation has maps of their own for tokens and grants, so that who knows a token cannot pass its hash off as a grant.
type generation struct {
	tokens, grants *xsync.Map[sum, *Proven]
	weight         atomic.Int64
}

func newGeneration(size int) *generation {
	return &generation{
		tokens: xsync.NewMap[sum, *Proven](xsync.WithPresize(size)),
		grants: xsync.NewMap[sum, *Proven](xsync.WithPresize(size)),
	}
}

func newCache(maxWeight uint64) *cache {
	var secret [32]byte
	rand.Read(secret[:]) // never fails, since Go 1.24
	c := &cache{most: int64(maxWeight / 2)}
	c.macs.New = func() any { return hmac.New(sha256.New, secret[:]) }
	c.current.Store(&generations{newGeneration(0), newGeneration(0)})
	return c
}

// nameOf hashes a question's token with where it was shown: SHA-256 over profile, host, and all three parts as received,
// of which the first two go in by their own SHA-256 (their fingerprint, which the proof wants too). Never the fingerprint
// alone: that leaves the signature out, and any signature would pass once a good one was seen. The issuer block and the
// key's generation stand in the proof and are compared at each use.
func nameOf(profile, host, raw string) (name, signed sum) {
	dot := secondDot(raw)
	signed = sha256.Sum256(bytesOf(raw[:dot]))
	var room [1024]byte
	b := append(append(append(append(room[:0], profile...), 0), host...), 0)
	b = append(append(b, signed[:]...), raw[dot:]...)
	return sha256.Sum256(b), signed
}

// secondDot is where the signature begins, with its dot; 0 in what is no token.
func secondDot(raw string) int {
	first := strings.IndexByte(raw, '.') + 1
	second := strings.IndexByte(raw[first:], '.')
	if first == 0 || second < 0 {
		return 0
	}
	return first + second
}

// seen gives the proof of a token that was shown before, if everything that it rested on still stands.
func (c *cache) seen(name sum, now time.Time) *Proven {
	return c.find(func(g *generation) *xsync.Map[sum, *Proven] { return g.tokens }, name, now)
}

// granted gives the proof behind a grant. Asked from another host or profile, or after a reload, it is not known.
func (c *cache) granted(grant string, p *profile, host string, now time.Time) *Proven {
	var name sum
	if len(grant) != grantSpelling.EncodedLen(len(name)) {
		return nil
	}
	if _, err := grantSpelling.Decode(name[:], bytesOf(grant)); err != nil {
		return nil
	}
	proven := c.find(func(g *generation) *xsync.Map[sum, *Proven] { return g.grants }, name, now)
	if proven == nil || proven.profile != p || proven.host != host {
		return nil
	}
	return proven
}

// find looks through both generations; what only the older has, the younger takes.
func (c *cache) find(among func(*generation) *xsync.Map[sum, *Proven], name sum, now time.Time) *Proven {
	all := c.current.Load()
	if p, ok := among(all.young).Load(name); ok && p.stands(now) {
		return p
	}
	p, ok := among(all.old).Load(name)
	if !ok || !p.stands(now) {
		return nil
	}
	c.keep(p)
	return p
}

var grantSpelling = base64.RawURLEncoding.Strict()

// grantFor makes the grant of a proof: an HMAC under a key that lives as long as this cache.
func (c *cache) grantFor(name sum) (string, sum) {
	mac := c.macs.Get().(hash.Hash)
	defer c.macs.Put(mac)
	mac.Reset()
	mac.Write(name[:])
	var grant sum
	mac.Sum(grant[:0])
	var text [43]byte // grantSpelling.EncodedLen(len(grant))
	grantSpelling.Encode(text[:], grant[:])
	return string(text[:]), grant
}

// keep takes a proof into the younger generation, in place of one that it had under these names.
func (c *cache) keep(p *Proven) {
	young := c.current.Load().young
	young.tokens.Store(p.name, p)
	if t := p.told.Load(); t != nil {
		young.grants.Store(t.name, p)
	}
	if young.weight.Add(int64(p.weight())) >= c.most {
		c.turn(young)
	}
}

// grant gives a proof its second name.
func (c *cache) grant(name sum, p *Proven) { c.current.Load().young.grants.Store(name, p) }

// turn makes a generation the older one, unless somebody did.
func (c *cache) turn(full *generation) {
	c.turning.Lock()
	defer c.turning.Unlock()
	if c.current.Load().young == full {
		c.current.Store(&generations{newGeneration(full.tokens.Size()), full})
	}
}
