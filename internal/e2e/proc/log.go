package proc

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
)

// Log collects lines, of a process or of a test's own logger, and wakes those who wait for one. The zero value is ready.
type Log struct {
	mu     sync.Mutex
	lines  []string
	rest   string
	closed bool
	grown  chan struct{} // closed at the next growth; nil while nobody waits for one
}

// Write takes what is printed.
func (l *Log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	parts := strings.Split(l.rest+string(b), "\n")
	l.rest = parts[len(parts)-1]
	l.lines = append(l.lines, parts[:len(parts)-1]...)
	l.wake()
	return len(b), nil
}

func (l *Log) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines, l.rest, l.closed = append(l.lines, l.rest), "", true
	l.wake()
}

func (l *Log) wake() {
	if l.grown != nil {
		close(l.grown)
		l.grown = nil
	}
}

// Mark is the place after the last line so far, for WaitAfter.
func (l *Log) Mark() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.lines)
}

// Wait returns the first line that contains text, from the beginning on.
func (l *Log) Wait(ctx context.Context, text string) (string, error) {
	return l.WaitAfter(ctx, 0, text)
}

// WaitAfter returns the first line after mark that contains text.
func (l *Log) WaitAfter(ctx context.Context, mark int, text string) (string, error) {
	for {
		l.mu.Lock()
		if l.grown == nil {
			l.grown = make(chan struct{})
		}
		lines, closed, grown := l.lines, l.closed, l.grown
		l.mu.Unlock()
		for ; mark < len(lines); mark++ {
			if strings.Contains(lines[mark], text) {
				return lines[mark], nil
			}
		}
		if closed {
			return "", errors.New("the process ended")
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// Contains says whether any line so far contains text.
func (l *Log) Contains(text string) bool { return strings.Contains(l.String(), text) }

// String is everything printed so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(append(slices.Clip(l.lines), l.rest), "\n")
}

// Tail is the last n lines.
func (l *Log) Tail(n int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines[max(0, len(l.lines)-n):], "\n")
}
