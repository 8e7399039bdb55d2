package bench

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/usher-im/usher/internal/bench/fixture"
	"github.com/usher-im/usher/internal/revocation"
)

// FillIndex puts n revocations of strangers into an index, of every selector as a busy fleet has them: mostly tokens
// and their ids, users, and now and then a key or a room.
func FillIndex(x *revocation.Index, n int) error {
	for i := range n {
		p, err := revocation.Prepare(Revocation(i), time.Now())
		if err != nil {
			return fmt.Errorf("prepare revocation %d: %w", i, err)
		}
		x.Put(p.Entry())
	}
	return nil
}

// Revocation is the n-th of them.
func Revocation(n int) revocation.Revocation {
	r := revocation.Revocation{Issuer: fixture.Issuer, Reason: "benchmark", Actor: "bench"}
	switch {
	case n%1000 == 0:
		r.Selector, r.Value = revocation.SelectKey, fmt.Sprintf("old-key-%d", n)
	case n%1000 == 1:
		r.Selector, r.Issuer, r.Value = revocation.SelectRoom, "", fmt.Sprintf("closed-room-%d", n)
	case n%4 == 0:
		r.Selector, r.Value = revocation.SelectUser, fmt.Sprintf("gone-%012d", n)
	case n%4 == 1:
		sum := sha256.Sum256([]byte(fmt.Sprint("token ", n))) // as a fingerprint is one: the index counts on their spread
		r.Selector, r.Issuer, r.Value = revocation.SelectToken, "", hex.EncodeToString(sum[:16])
	default:
		r.Selector, r.Value = revocation.SelectJTI, fmt.Sprintf("leaked-%016x", n)
	}
	return r
}
