package redisstore

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/audit/storetest"
	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/redisconn/redistest"
)

func TestStore_TwoErasuresAtOnceTakeOutWhatEachNamed(t *testing.T) {
	c := config.Redis{URL: serve(t).URL(), Prefix: redistest.Prefix()}
	nodes := []*Store{openAs(t, c, "node-a", Options{}), openAs(t, c, "node-b", Options{})}
	events := storetest.Events(6000)
	users := []string{"user-4", "user-5"}
	kept := 0
	for i := range events { // all in one hour
		events[i].Time = storetest.Now.Add(time.Duration(i) * time.Millisecond)
		events[i].ID = audit.NewID(events[i].Time)
		if !slices.Contains(users, events[i].UserID) {
			kept++
		}
	}
	if err := nodes[0].Append(t.Context(), storetest.Rows(events)); err != nil {
		t.Fatal(err)
	}
	var both sync.WaitGroup
	for n, node := range nodes {
		both.Go(func() {
			if _, err := node.Erase(t.Context(), users[n]); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	left := pagesOf(t, nodes[0], audit.Query{Limit: 1000})
	for _, e := range left {
		if slices.Contains(users, e.UserID) {
			t.Fatalf("%s is still there", e.UserID)
		}
	}
	if len(left) != kept {
		t.Errorf("%d events of others are left, want %d", len(left), kept)
	}
}
