package decide

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/puzpuzpuz/xsync/v4"
)

// sum names a proof, by the token that was shown or by the grant that was given for it.
type sum [sha256.Size]byte

// cache keeps what signatures have proven, under the hash of the token. Reading takes no lock.
//
// It holds two generations. The younger takes what comes, and what is used of the older; when it weighs half of what the
// cache may, it becomes the older one, and that is dropped as a whole. So letting go costs nothing, and a newcomer always
// gets its turn: a session joins seconds after it connected, and a cache that admits by frequency would drop the very
// proofs whose grants are about to be shown.
type cache struct {
	// halves make grants out of names and names out of grants, each half of a name under its own key.
	halves  [2]cipher.Block
	rooms   sync.Pool // of *sum, to encrypt and decrypt in: what a cipher.Block is given escapes
	most    int64     // the weight of one generation
	current atomic.Pointer[generations]
	turning sync.Mutex
}

type generations struct{ young, old *generation }

type generation struct {
	tokens *xsync.Map[sum, *Proven]
	weight atomic.Int64
}

func newGeneration(size int) *generation {
	return &generation{tokens: xsync.NewMap[sum, *Proven](xsync.WithPresize(size))}
}

func newCache(maxWeight uint64) *cache {
	c := &cache{most: int64(maxWeight / 2)}
	for n := range c.halves {
		var key [32]byte
		rand.Read(key[:])                      // never fails, since Go 1.24
		c.halves[n], _ = aes.NewCipher(key[:]) // fails by the length of the key alone
	}
	c.rooms.New = func() any { return new(sum) }
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
	var room [512]byte // all of it is cleared each time
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

// seen gives the proof under a name, if everything that it rested on still stands. What only the older generation has,
// the younger takes.
func (c *cache) seen(name sum, now time.Time) *Proven {
	all := c.current.Load()
	if p, ok := all.young.tokens.Load(name); ok && p.stands(now) {
		return p
	}
	p, ok := all.old.tokens.Load(name)
	if !ok || !p.stands(now) {
		return nil
	}
	c.keep(p)
	return p
}

// granted gives the proof behind a grant. Asked from another host or profile, or after a reload, it is not known.
func (c *cache) granted(grant string, p *profile, host string, now time.Time) *Proven {
	if len(grant) != grantSpelling.EncodedLen(len(sum{})) {
		return nil
	}
	name := c.rooms.Get().(*sum)
	defer c.rooms.Put(name)
	// encoding/base64 skips line breaks; then there is less than a name.
	if n, err := grantSpelling.Decode(name[:], bytesOf(grant)); err != nil || n != len(name) {
		return nil
	}
	for n, half := range c.halves {
		part := name[n*aes.BlockSize:][:aes.BlockSize]
		half.Decrypt(part, part)
	}
	proven := c.seen(*name, now)
	if proven == nil || proven.profile != p || proven.host != host {
		return nil
	}
	return proven
}

var grantSpelling = base64.RawURLEncoding.Strict()

// appendGrant spells the grant of a proof: its name, encrypted under keys that live as long as this cache. Who knows a token
// knows its name and still cannot make a grant of it, and whatever else is shown as a grant decrypts to no name.
func (c *cache) appendGrant(b []byte, name sum) []byte {
	grant := c.rooms.Get().(*sum)
	defer c.rooms.Put(grant)
	*grant = name
	for n, half := range c.halves {
		part := grant[n*aes.BlockSize:][:aes.BlockSize]
		half.Encrypt(part, part)
	}
	return grantSpelling.AppendEncode(b, grant[:])
}

// keep takes a proof into the younger generation, in place of one that it had under this name.
func (c *cache) keep(p *Proven) {
	young := c.current.Load().young
	young.tokens.Store(p.name, p)
	if young.weight.Add(int64(p.weight())) >= c.most {
		c.turn(young)
	}
}

// turn makes a generation the older one, unless somebody did.
func (c *cache) turn(full *generation) {
	c.turning.Lock()
	defer c.turning.Unlock()
	if c.current.Load().young == full {
		c.current.Store(&generations{newGeneration(full.tokens.Size()), full})
	}
}
