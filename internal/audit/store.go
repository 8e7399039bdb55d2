package audit

import (
	"context"
	"errors"
)

// Row is an event as stores keep it. K sorts by time and names the row among those of one writer: never the same twice,
// always growing.
type Row struct {
	K    uint64
	Data []byte
}

// ErrLost is the answer, once, of a store that took nothing because it has lost rows that it had taken: Last says how far back.
var ErrLost = errors.New("the audit store has lost events that it had taken")

// Store keeps rows and finds them again.
type Store interface {
	// Append takes rows in the order of K and is done when they can be read. Rows it already has are left as they are.
	Append(ctx context.Context, rows []Row) error
	// Last is the newest K that this writer has in the store and that a crash will not take back; 0 if none.
	Last(ctx context.Context) (uint64, error)
	// Query answers one page.
	Query(ctx context.Context, q Query) (Page, error)
	// Get finds one event by its id.
	Get(ctx context.Context, id string) (Event, bool, error)
	// Stats counts.
	Stats(ctx context.Context, q StatsQuery) ([]Count, error)
	// Follow calls f with every event that arrives from now on, until ctx ends or f fails.
	Follow(ctx context.Context, q Query, f func(Event) error) error
	// Erase deletes all events of one user and says how many.
	Erase(ctx context.Context, user string) (int64, error)
	// Close lets go of files and connections.
	Close() error
}
