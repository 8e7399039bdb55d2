package redisstore

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/usher-im/usher/internal/revocation"
)

// packedSize: selector, issued_before and expires_at (Unix milliseconds in six bytes each), as the scripts pack them.
const packedSize = 13

// An entry that cannot be read is an error: who takes it for none lets in whom it means.
func unpack(key revocation.Key, packed string) (e revocation.Entry, err error) {
	e.Key = key
	if len(packed) == packedSize {
		e.Selector = revocation.SelectorOf(int(packed[0]))
		e.IssuedBefore, e.ExpiresAt = six(packed[1:7]), six(packed[7:13])
	}
	if e.Selector == "" {
		err = fmt.Errorf("the revocation %s in Redis is none that this usher writes: run the newest version of the fleet here, or delete that field of the index where another program wrote it", key)
	}
	return e, err
}

func six(b string) int64 {
	var wide [8]byte
	copy(wide[2:], b)
	return int64(binary.BigEndian.Uint64(wide[:]))
}

// detail is what a revocation has besides its entry.
type detail struct {
	Issuer    string `json:"issuer,omitempty"`
	Value     string `json:"value"`
	Reason    string `json:"reason,omitempty"`
	Actor     string `json:"actor,omitempty"`
	CreatedAt int64  `json:"created_at"` // Unix milliseconds
}

func detailOf(r revocation.Revocation) (string, error) {
	text, err := json.Marshal(detail{r.Issuer, r.Value, r.Reason, r.Actor, r.CreatedAt.UnixMilli()})
	return string(text), err
}

func whole(e revocation.Entry, text string) (revocation.Revocation, error) {
	var d detail
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		return revocation.Revocation{}, err
	}
	r := e.Revocation()
	r.Issuer, r.Value, r.Reason, r.Actor, r.CreatedAt = d.Issuer, d.Value, d.Reason, d.Actor, revocation.FromMS(d.CreatedAt)
	return r, nil
}

func keyOf(id string) (k revocation.Key) {
	copy(k[:], id)
	return k
}

// idOf is the id in what the order holds: an id and its entry.
func idOf(member string) string { return member[:min(len(member), len(revocation.Key{}))] }

// score is the number of a change as a sorted set takes and gives it.
func score(n float64) string { return strconv.FormatFloat(n, 'f', 0, 64) }

// number reads what a script answers: numbers as such, or as text where they may be large.
func number(v any) int64 {
	switch v := v.(type) {
	case int64:
		return v
	case string:
		n, _ := strconv.ParseInt(v, 10, 64)
		return n
	}
	return 0
}

func text(v any) string {
	s, _ := v.(string)
	return s
}
