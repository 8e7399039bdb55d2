package redisstore

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/audit/storetest"
	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/redisconn/redistest"
)

func TestFollow_GoesOnWhereRedisFailedForAWhile(t *testing.T) {
	server := serve(t)
	s, admin := openAs(t, config.Redis{URL: server.URL(), Prefix: "usher:"}, "n", Options{Now: time.Now}), redistest.Direct(t, server)
	put := func(user string) {
		t.Helper()
		now := time.Now()
		if err := s.Append(t.Context(), storetest.Rows([]audit.Event{{Time: now, ID: audit.NewID(now), Kind: audit.Decision, Verdict: audit.Allow, UserID: user}})); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen, ended := make(chan string, 10_000), make(chan error, 1)
	go func() {
		ended <- s.Follow(ctx, audit.Query{}, func(e audit.Event) error { seen <- e.UserID; return nil })
		close(seen)
	}()
	eventually(t, "something is shown", func() bool { put("before"); return len(seen) > 0 })
	if err := admin.Do(t.Context(), "ACL", "SETUSER", "default", "-xrange").Err(); err != nil {
		t.Fatal(err)
	}
	put("meanwhile")
	eventually(t, "the follower has failed", func() bool {
		_, xrange, _ := strings.Cut(admin.Info(t.Context(), "commandstats").Val(), "cmdstat_xrange:")
		xrange, _, _ = strings.Cut(xrange, "\n")
		return !strings.Contains(xrange, "rejected_calls=0")
	})
	if err := admin.Do(t.Context(), "ACL", "SETUSER", "default", "+xrange").Err(); err != nil {
		t.Fatal(err)
	}
	put("after")
	shown := map[string]int{}
	for user := range seen {
		if shown[user]++; user == "after" {
			cancel()
		}
	}
	if err := <-ended; err != nil || shown["meanwhile"] != 1 || shown["after"] != 1 {
		t.Errorf("it ended with %v, and showed %v", err, shown)
	}
}

// Whoever reads on after some hours in a pager has not seen all of an hour when a newer one is there.
func TestFollow_LeavesNoHourBehindBeforeAllOfItIsRead(t *testing.T) {
	began := time.Now().Add(-5 * time.Hour)
	s := openAs(t, config.Redis{URL: serve(t).URL(), Prefix: "usher:"}, "n", Options{Now: func() time.Time { return began }})
	var q audit.Query
	w := follower{store: s, filter: q.Filter(), classes: classesOf(&q), after: map[string]string{}}
	if err := w.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	var events []audit.Event
	for _, at := range []time.Time{began, began.Add(5 * time.Hour)} {
		for range 2*mostRead + 10 {
			events = append(events, audit.Event{Time: at, ID: audit.NewID(at), Kind: audit.Decision, Verdict: audit.Allow})
		}
	}
	if err := s.Append(t.Context(), storetest.Rows(events)); err != nil {
		t.Fatal(err)
	}
	seen := 0
	eachPart(t, &w, func(part []audit.Event) { seen += len(part) })
	if seen != len(events) {
		t.Errorf("%d events of %d are seen", seen, len(events))
	}
}

// eachPart reads to the end of what there is.
func eachPart(t *testing.T, w *follower, f func(part []audit.Event)) {
	t.Helper()
	for more := true; more; {
		var part []audit.Event
		var err error
		if part, more, err = w.read(t.Context()); err != nil {
			t.Fatal(err)
		}
		f(part)
	}
}

// A fleet has many streams, and what nobody read for hours is in all of them.
func TestFollow_ReadsOfManyStreamsALittleAtATime(t *testing.T) {
	c := config.Redis{URL: serve(t).URL(), Prefix: "usher:"}
	const nodes, each = 40, 500
	s := openAs(t, c, "reader", Options{Now: time.Now})
	var q audit.Query
	w := follower{store: s, filter: q.Filter(), classes: []int{classAllowed}, after: map[string]string{}}
	if err := w.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	for n := range nodes {
		now := time.Now()
		var events []audit.Event
		for range each {
			events = append(events, audit.Event{Time: now, ID: audit.NewID(now), Kind: audit.Decision, Verdict: audit.Allow})
		}
		if err := openAs(t, c, fmt.Sprint("n", n), Options{Now: time.Now}).Append(t.Context(), storetest.Rows(events)); err != nil {
			t.Fatal(err)
		}
	}
	seen := 0
	eachPart(t, &w, func(part []audit.Event) {
		if seen += len(part); len(part) > mostFollowed {
			t.Errorf("%d events are read at once", len(part))
		}
	})
	if seen != nodes*each {
		t.Errorf("%d events of %d are seen", seen, nodes*each)
	}
}
