package client

import (
	"context"
	"slices"
	"sync"
)

// inbox keeps what was received until somebody takes it, so that no stanza is lost by looking for another first.
type inbox struct {
	mu       sync.Mutex
	elements []*Element
	err      error
	changed  chan struct{} // closed and replaced at each change
}

func (b *inbox) init() { b.changed = make(chan struct{}) }

func (b *inbox) put(e *Element) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.elements = append(b.elements, e)
	b.wake()
}

func (b *inbox) end(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
	b.wake()
}

func (b *inbox) wake() {
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *inbox) peek() []*Element {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.elements)
}

func (b *inbox) take(ctx context.Context, match func(*Element) bool) (*Element, error) {
	for {
		b.mu.Lock()
		if i := slices.IndexFunc(b.elements, match); i >= 0 {
			e := b.elements[i]
			b.elements = slices.Delete(b.elements, i, i+1)
			b.mu.Unlock()
			return e, nil
		}
		err, changed := b.err, b.changed
		b.mu.Unlock()
		if err != nil {
			return nil, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
