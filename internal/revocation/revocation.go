package revocation

import "time"

// Revocation names what is no longer trusted: why, by whom, since when, until when.
type Revocation struct {
	ID       string   `json:"id"`
	Selector Selector `json:"selector"`
	// Issuer is the scope of a jti, user or kid; no other selector has one.
	Issuer string `json:"issuer,omitempty"`
	// Value: the fingerprint of a token, the iss of an issuer, the prepared name of a room.
	Value string `json:"value"`
	// IssuedBefore spares tokens that were issued at that time or later. Zero spares none.
	IssuedBefore time.Time `json:"issued_before,omitzero"`
	Reason       string    `json:"reason,omitempty"`
	Actor        string    `json:"actor,omitempty"`
	CreatedAt    time.Time `json:"created_at"`
	// ExpiresAt is when it goes by itself. Zero: it stays until it is lifted.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// Bounds says in words which tokens it spares and when it goes; empty where it spares none and stays.
func (r Revocation) Bounds() (words string) {
	if !r.IssuedBefore.IsZero() {
		words += ", issued before " + r.IssuedBefore.Format(time.RFC3339)
	}
	if !r.ExpiresAt.IsZero() {
		words += ", until " + r.ExpiresAt.Format(time.RFC3339)
	}
	return words
}

// Key is the revocation's key, from its id.
func (r Revocation) Key() Key {
	k, _ := ParseKey(r.ID)
	return k
}

// Entry is what an index holds of it.
func (r Revocation) Entry() Entry {
	return Entry{Key: r.Key(), Selector: r.Selector, IssuedBefore: UnixMS(r.IssuedBefore), ExpiresAt: UnixMS(r.ExpiresAt)}
}

// Revocation is what an entry tells of its revocation: the inverse of Revocation.Entry, as far as that goes.
func (e Entry) Revocation() Revocation {
	return Revocation{ID: e.Key.String(), Selector: e.Selector, IssuedBefore: FromMS(e.IssuedBefore), ExpiresAt: FromMS(e.ExpiresAt)}
}

// UnixMS is a time as entries and stores keep it, in Unix milliseconds; 0 for none.
func UnixMS(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// FromMS reads what UnixMS writes.
func FromMS(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
