package redisstore

import (
	"testing"
	"time"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/audit/storetest"
	"github.com/usher-im/usher/internal/config"
)

func TestStore_ClockThatIsAheadDeletesNothingOfTheFleet(t *testing.T) {
	c := config.Redis{URL: serve(t).URL(), Prefix: fresh()}
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
	s := openAs(t, config.Redis{URL: server.URL(), Prefix: fresh()}, "n", Options{})
	if err := s.Append(t.Context(), storetest.Rows(storetest.Events(100))); err != nil {
		t.Fatal(err)
	}
	if err := direct(t, server).ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	for _, q := range []audit.Query{{Limit: 10}, {Limit: 10, User: "user-4"}} {
		if page, err := s.Query(t.Context(), q); err != nil || len(page.Events) == 0 {
			t.Errorf("%d events: %v", len(page.Events), err)
		}
	}
}
