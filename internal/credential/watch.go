package credential

import (
	"slices"
	"time"
)

// Watch calls saw with what others make and delete, when the file is read: each second, whenever a secret is shown that is
// not known, and once more when it is ended.
func (f *File) Watch(saw func(c Credential, made bool)) (end func()) {
	f.mu.Lock()
	f.saw = saw
	f.mu.Unlock()
	ending, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(rereadAfter)
		defer tick.Stop()
		for {
			select {
			case <-ending:
				return
			case <-tick.C:
				f.mu.Lock()
				f.reread()
				f.mu.Unlock()
			}
		}
	}()
	return func() {
		close(ending)
		<-ended
		f.mu.Lock()
		defer f.mu.Unlock()
		f.reread()
		f.saw = nil
	}
}

// tell says what others have changed, for who has mu.
func (f *File) tell(now []Credential) {
	for _, c := range f.all {
		if !slices.Contains(now, c) {
			f.saw(c, false)
		}
	}
	for _, c := range now {
		if !slices.Contains(f.all, c) {
			f.saw(c, true)
		}
	}
}
