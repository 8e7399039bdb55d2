package keys

import (
	"context"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

// keeper follows what changes without a network: key files, and keys that reach their end.
type keeper struct {
	ring  *Ring
	files []*file
	ends  []time.Time // when keys stop serving, the next one first
	watch *fsnotify.Watcher
}

// keeper makes the ring's, or nil where nothing can change. It watches at once: a change between the first look at the
// files and this one is found by the first poll.
func (r *Ring) keeper() *keeper {
	k := &keeper{ring: r}
	for _, s := range r.sources {
		if f, ok := s.(*file); ok {
			k.files = append(k.files, f)
		}
	}
	k.ends = endings(r.ends, r.now())
	if len(k.files) == 0 && len(k.ends) == 0 {
		return nil
	}
	if len(k.files) > 0 {
		k.watchFolders()
	}
	return k
}

// watchFolders watches the folders, not the files: Kubernetes swaps a link beside them, editors put a new file in
// place. Where the system grants no watch (inotify's limits), the poll alone finds changes.
func (k *keeper) watchFolders() {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		k.ring.log.Warn("Key files cannot be watched; changes are found by looking every so often", "every", k.ring.pace.poll, "error", err)
		return
	}
	k.watch = w
	k.rewatch()
}

// rewatch also takes up a folder that was gone and has come back. To watch one twice is to watch it once.
func (k *keeper) rewatch() {
	if k.watch == nil {
		return
	}
	for _, f := range k.files {
		if err := k.watch.Add(filepath.Dir(f.path)); err != nil {
			k.ring.log.Debug("A folder with keys cannot be watched", "file", f.path, "error", err)
		}
	}
}

func (k *keeper) run(ctx context.Context) {
	poll := time.NewTicker(k.ring.pace.poll)
	defer poll.Stop()
	settled := time.NewTimer(time.Hour)
	defer settled.Stop()
	end := time.NewTimer(k.untilEnd())
	defer end.Stop()
	var events chan fsnotify.Event
	var errors chan error
	if k.watch != nil {
		defer k.watch.Close()
		events, errors = k.watch.Events, k.watch.Errors
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-events:
			settled.Reset(k.ring.pace.settle)
		case <-errors: // events were lost: look
			settled.Reset(0)
		case <-settled.C:
			k.look()
		case <-poll.C:
			k.rewatch()
			k.look()
			k.end()
		case <-end.C:
			k.end()
		}
		end.Reset(k.untilEnd())
	}
}

// look reads the files again and takes over what is new.
func (k *keeper) look() {
	changed := false
	for _, f := range k.files {
		changed = f.reload(k.ring.now()) || changed
	}
	if changed {
		k.ring.rebuild()
	}
}

// end voids what rested on keys that have reached their end. Find itself goes by the time that it is given.
func (k *keeper) end() {
	now, ended := k.ring.now(), 0
	for ended < len(k.ends) && !now.Before(k.ends[ended]) {
		ended++
	}
	if ended > 0 {
		k.ends = k.ends[ended:]
		k.ring.move()
	}
}

func (k *keeper) untilEnd() time.Duration {
	const never = 24 * time.Hour
	if len(k.ends) == 0 {
		return never
	}
	return min(max(0, k.ends[0].Sub(k.ring.now())), never)
}

// endings are the ends still to come among those configured, in order.
func endings(all []time.Time, now time.Time) []time.Time {
	all = slices.DeleteFunc(slices.Clone(all), func(t time.Time) bool { return t.IsZero() || !now.Before(t) })
	slices.SortFunc(all, time.Time.Compare)
	return all
}
