package keys

import (
	"crypto/sha256"
	"log/slog"
	"sync"
	"time"

	"github.com/usher-im/usher/internal/keys/fetch"
	"github.com/usher-im/usher/internal/keys/material"
)

// decoder turns the bytes of a source into keys, and names those that it left out.
type decoder func(data []byte) (keys []material.Key, left []error, err error)

// file is a key file: secret, PEM, key set, or map of certificates.
type file struct {
	log    *slog.Logger
	where  string
	label  string
	path   string
	decode decoder
	adopt  func(material.Key) *Key

	mu     sync.Mutex
	keys   []*Key
	sum    [sha256.Size]byte // of the content that the keys come from
	readAt time.Time         // when that was last seen to be what the file holds
	err    error
	left   []error
}

func (f *file) current() []*Key {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.keys
}

func (f *file) list(now time.Time) []Info {
	f.mu.Lock()
	defer f.mu.Unlock()
	return infos(f.keys, Info{Where: f.where, Source: f.label, FetchedAt: f.readAt, LastError: lastError(f.err, f.left)}, now)
}

// load reads the file and takes its keys if they are good; otherwise those that it had stay. It tells whether the keys
// are others than before.
func (f *file) load(now time.Time) (changed bool, err error) {
	data, err := fetch.File(f.path)
	f.mu.Lock()
	defer f.mu.Unlock()
	defer func() { f.err = err }()
	if err != nil {
		return false, err
	}
	sum := sha256.Sum256(data)
	if sum == f.sum && f.keys != nil {
		f.readAt = now
		return false, nil
	}
	decoded, left, err := f.decode(data)
	if err != nil {
		return false, err
	}
	f.keys = adoptAll(decoded, f.adopt)
	f.sum, f.readAt, f.left = sum, now, left
	return true, nil
}

// reload is load after the start: what goes wrong is logged, once for as long as it stays so.
func (f *file) reload(now time.Time) (changed bool) {
	before := f.problem()
	changed, err := f.load(now)
	switch after := f.problem(); {
	case err != nil && after != before:
		f.log.Warn("A changed key file is not taken; its last good keys go on serving", "file", f.path, "config", f.where, "error", after)
	case changed:
		f.log.Info("Keys were reloaded", "file", f.path, "config", f.where, "left_out", after)
	case after == "" && before != "":
		f.log.Info("A key file is as it was before", "file", f.path, "config", f.where)
	}
	return changed
}

func (f *file) problem() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return lastError(f.err, f.left)
}

func adoptAll(decoded []material.Key, adopt func(material.Key) *Key) []*Key {
	keys := make([]*Key, len(decoded))
	for i, m := range decoded {
		keys[i] = adopt(m)
	}
	return keys
}
