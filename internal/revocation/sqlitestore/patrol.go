package sqlitestore

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// lookOften is how often the file is asked whether another process wrote to it, while somebody writes.
	lookOften = 5 * time.Millisecond
	// lookSeldom is how often else: were it often, a node with nothing to do would need 2% of a core for it.
	lookSeldom = time.Second
	// stirs is for how long a write makes us look often. The file system tells of it before SQLite has committed it, and
	// between the two is a flush to the disk.
	stirs = 500 * time.Millisecond
)

// patrol wakes those who wait for changes when another process has written.
type patrol struct {
	stop  context.CancelFunc
	ended chan struct{}
	watch *fsnotify.Watcher // nil: the system grants none (inotify has limits), so that we look often at all times
	name  string            // of the file; its log begins with it
}

func (s *Store) startPatrol(path string) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	ctx, stop := context.WithCancel(context.Background())
	s.patrol = &patrol{stop: stop, ended: make(chan struct{}), name: filepath.Base(path)}
	s.patrol.watch = watchFolder(filepath.Dir(path))
	go s.keepLooking(ctx, s.patrol)
}

// watchFolder watches the folder, since the log beside the file comes and goes.
func watchFolder(folder string) *fsnotify.Watcher {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil
	}
	if err := w.Add(folder); err != nil {
		w.Close()
		return nil
	}
	return w
}

func (p *patrol) end() {
	p.stop()
	<-p.ended
	if p.watch == nil {
		return
	}
	p.watch.Close()
	for range p.watch.Events { // until its goroutine has gone
	}
}

func (s *Store) keepLooking(ctx context.Context, p *patrol) {
	defer close(p.ended)
	pace := lookOften
	tick := time.NewTicker(pace)
	defer tick.Stop()
	change := func(to time.Duration) {
		if pace != to {
			pace = to
			tick.Reset(to)
		}
	}
	var events <-chan fsnotify.Event
	var lost <-chan error
	if p.watch != nil {
		events, lost = p.watch.Events, p.watch.Errors
	}
	stirred := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-events:
			if strings.HasPrefix(filepath.Base(e.Name), p.name) {
				stirred = time.Now()
				change(lookOften)
			}
		case <-lost: // too many events at once
			stirred = time.Now()
			change(lookOften)
		case now := <-tick.C:
			if moved, err := s.moved(ctx); moved || err != nil { // who is woken meets the error as well
				s.wake()
			}
			if p.watch != nil && now.Sub(stirred) > stirs {
				change(lookSeldom)
			}
		}
	}
}

// moved says whether another connection has written since it was last asked. Only the patrol asks, once it has started.
func (s *Store) moved(ctx context.Context) (bool, error) {
	var version int64
	if err := s.asking.QueryRowContext(ctx).Scan(&version); err != nil {
		return false, err
	}
	moved := version != s.version
	s.version = version
	return moved, nil
}
