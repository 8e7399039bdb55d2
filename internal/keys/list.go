package keys

import (
	"slices"
	"time"

	"github.com/usher-im/usher/internal/keys/material"
	"github.com/usher-im/usher/internal/token"
)

// Info is a key as `usher keys list` shows it; also a source that has no key at the moment, with Kid, ID and Type empty.
// It holds nothing that verifies a token.
type Info struct {
	// Kid is the name that a token uses; ID the name that a revocation uses.
	Kid string `json:"kid,omitempty"`
	ID  string `json:"id,omitempty"`
	// Type is secret, RSA, EC or Ed25519.
	Type string `json:"type,omitempty"`
	// Bits is the size of the key; Curve the name of its curve.
	Bits  int    `json:"bits,omitempty"`
	Curve string `json:"curve,omitempty"`
	// Alg is the only algorithm that it may be used for, where its publisher names one.
	Alg token.Algorithm `json:"alg,omitempty"`
	// Source is where it comes from; Where the place in the config that says so.
	Source string `json:"source"`
	Where  string `json:"where,omitempty"`
	// FetchedAt is when the source last confirmed the key; Age how long that is ago.
	FetchedAt time.Time     `json:"fetched_at,omitzero"`
	Age       time.Duration `json:"-"`
	// NotAfter is when it stops serving.
	NotAfter time.Time `json:"not_after,omitzero"`
	// LastError is what is wrong with the source, or with some of its keys, at the moment. The last good keys serve on.
	LastError string `json:"last_error,omitempty"`

	key *Key // whose ID List has yet to look up
}

// List shows every key and every source without one, in the order of the config.
func (r *Ring) List() []Info {
	now := r.now()
	var all []Info
	for _, s := range r.sources {
		all = append(all, s.list(now)...)
	}
	known := r.snap.Load().keys
	for i := range all {
		if k := all[i].key; k != nil {
			all[i].ID, all[i].key = sharedID(k, known), nil
		}
	}
	return all
}

// Names are all IDs of the key that a revocation calls id; none where there is no such key. open: there may be one all the
// same, in a source that is asked by kid, or that nobody has read yet.
func (r *Ring) Names(id string) (names []string, open bool) {
	known := r.snap.Load()
	for _, k := range known.keys {
		if all := k.names(); slices.Contains(all, id) {
			return all, false
		}
	}
	return nil, known.unread || len(r.remotes) > len(r.sets)
}

// infos shows keys that come from one source, which about describes.
func infos(keys []*Key, about Info, now time.Time) []Info {
	if !about.FetchedAt.IsZero() {
		about.Age = max(0, now.Sub(about.FetchedAt))
	}
	if len(keys) == 0 {
		return []Info{about}
	}
	list := make([]Info, len(keys))
	for i, k := range keys {
		list[i] = about.of(k)
	}
	return list
}

func (about Info) of(k *Key) Info {
	about.key, about.Kid, about.Alg, about.NotAfter = k, k.Kid, k.Alg, k.NotAfter
	about.Type = material.Type(k.Material)
	about.Bits = material.Bits(k.Material)
	about.Curve = material.Curve(k.Material)
	return about
}

// lastError is one line of what is wrong: the source's own failure before keys that were left out of it.
func lastError(err error, left []error) string {
	if err != nil {
		return err.Error()
	}
	text := ""
	for i, e := range left {
		if i == 3 {
			return text + "; and more"
		}
		if text != "" {
			text += "; "
		}
		text += e.Error()
	}
	return text
}
