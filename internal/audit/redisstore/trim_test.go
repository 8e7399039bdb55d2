package redisstore

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/audit/storetest"
	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/redisconn/redistest"
)

func TestStore_ClockThatIsAheadDeletesNothingOfTheFleet(t *testing.T) {
	c := config.Redis{URL: serve(t).URL(), Prefix: redistest.Prefix()}
	const day = 24 * time.Hour
	right := openAs(t, c, "right", Options{Retention: 90 * day, Now: time.Now})
	ahead := openAs(t, c, "ahead", Options{Retention: 90 * day, Now: func() time.Time { return time.Now().Add(365 * day) }})
	event := storetest.Events(1)
	event[0].Time = time.Now()
	if err := right.Append(t.Context(), storetest.Rows(event)); err != nil {
		t.Fatal(err)
	}
	if err := ahead.trim(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := pagesOf(t, right, audit.Query{Limit: 10}); len(left) != 1 {
		t.Error("what was recorded a moment ago is gone")
	}
}

func TestStore_AnswersFromARedisThatIsFull(t *testing.T) {
	server := serve(t, "--maxmemory-policy", "noeviction")
	s := openAs(t, config.Redis{URL: server.URL(), Prefix: redistest.Prefix()}, "n", Options{})
	if err := s.Append(t.Context(), storetest.Rows(storetest.Events(100))); err != nil {
		t.Fatal(err)
	}
	if err := redistest.Direct(t, server).ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	for _, q := range []audit.Query{{Limit: 10}, {Limit: 10, User: "user-4"}} {
		if page, err := s.Query(t.Context(), q); err != nil || len(page.Events) == 0 {
			t.Errorf("%d events: %v", len(page.Events), err)
		}
	}
}

// Nothing of it goes, so that somebody must be told.
func TestStore_SaysThatTheHourBeingWrittenIsMoreThanAll(t *testing.T) {
	var log bytes.Buffer
	s := openAs(t, config.Redis{URL: serve(t).URL(), Prefix: redistest.Prefix()}, "n", Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err := s.Append(t.Context(), storetest.Rows(storetest.Events(100))); err != nil {
		t.Fatal(err)
	}
	for _, most := range []int64{1 << 20, 1} {
		s.opt.MaxSize = most
		if err := s.trim(t.Context()); err != nil {
			t.Fatal(err)
		}
		if said := strings.Contains(log.String(), "more than audit.max_size"); said != (most == 1) {
			t.Errorf("where %d bytes are the most it says %q", most, log.String())
		}
	}
	if page, err := s.Query(t.Context(), audit.Query{Limit: 1}); err != nil || len(page.Events) == 0 {
		t.Errorf("the newest hour is gone: %v", err)
	}
}

// A node whose clock is behind, or that brings what waited, writes to an hour that is trimmed meanwhile.
func TestStore_TakesNoTrimmedHourForLost(t *testing.T) {
	c := config.Redis{URL: redistest.Serve(t).URL(), Prefix: "usher:"}
	behind, ahead := openAs(t, c, "behind", Options{MaxSize: 1}), openAs(t, c, "ahead", Options{MaxSize: 1})
	rows := storetest.Rows(storetest.Events(1000)) // of three hours
	late := rows[len(rows)-1:]
	if err := ahead.Append(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		if err := behind.Append(t.Context(), rows[n:n+1]); err != nil {
			t.Fatal(err)
		}
		if err := behind.trim(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := ahead.trim(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := behind.Append(t.Context(), rows[2:4]); err != nil {
		t.Fatal(err)
	}
	if kept := pagesOf(t, ahead, audit.Query{Since: storetest.Now.Add(-24 * time.Hour), Limit: 100}); len(kept) != 2 {
		t.Errorf("%d rows are kept, want the last one of each", len(kept))
	}
}
