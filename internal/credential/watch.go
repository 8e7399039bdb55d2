package credential

import (
	"context"
	"slices"
	"time"
)

// Watch calls saw with what others have made and deleted beside known, as the file shows it each second and once more when
// ctx ends.
func (f *File) Watch(ctx context.Context, known []Credential, saw func(c Credential, made bool)) {
	tick := time.NewTicker(rereadAfter)
	defer tick.Stop()
	for ended := false; !ended; {
		select {
		case <-ctx.Done():
			ended = true
		case <-tick.C:
		}
		f.mu.Lock()
		f.reread()
		f.mu.Unlock()
		now := f.List()
		for _, c := range known {
			if !slices.Contains(now, c) {
				saw(c, false)
			}
		}
		for _, c := range now {
			if !slices.Contains(known, c) {
				saw(c, true)
			}
		}
		known = now
	}
}
