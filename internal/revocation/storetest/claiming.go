package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/revocation"
)

func claim(t testing.TB, s revocation.Store, m revocation.Mark) revocation.Claim {
	t.Helper()
	c, err := s.Claim(t.Context(), m)
	if err != nil {
		t.Error(err)
	}
	return c
}

func claiming(t *testing.T, b Backing) {
	var handles []revocation.Store
	for range 4 {
		handles = append(handles, b.Open(t))
	}
	for round := range 10 {
		m := revocation.Mark{Key: JTI(t, fmt.Sprint(round)).Key(), Until: time.Now().Add(time.Hour)}
		var mu sync.Mutex
		var winners []string
		owners := map[string]bool{}
		var wg sync.WaitGroup
		for n := range 16 {
			wg.Go(func() {
				mine := m
				mine.Owner = fmt.Sprintf("session-%d:with:colons", n)
				c := claim(t, handles[n%len(handles)], mine)
				mu.Lock()
				defer mu.Unlock()
				owners[c.Owner] = true
				if c.First {
					winners = append(winners, mine.Owner)
				}
			})
		}
		wg.Wait()
		if len(winners) != 1 || len(owners) != 1 || !owners[winners[0]] {
			t.Fatalf("of 16 at once %v were first, and %v were named as owners", winners, owners)
		}
	}
}

func resuming(t *testing.T, b Backing) {
	s := b.Open(t)
	m := revocation.Mark{Key: JTI(t, "a").Key(), Until: time.Now().Add(time.Hour)}
	as := func(owner, resumes string) revocation.Mark {
		m.Owner, m.Resumes = owner, resumes
		return m
	}
	if c := claim(t, s, as("one", "")); !c.First || c.Owner != "one" || !c.Admits("one", 0) {
		t.Fatalf("the first is answered %+v", c)
	}
	if c := claim(t, s, as("one", "")); c.First || !c.Admits("one", 0) {
		t.Fatalf("the same again is answered %+v", c)
	}
	if c := claim(t, s, as("thief", "zero")); c.Owner != "one" || c.Admits("thief", -1) {
		t.Fatalf("who resumes another session is answered %+v", c)
	}
	if c := claim(t, s, as("two", "one")); c.First || !c.Admits("two", -1) {
		t.Fatalf("who resumes the owner is answered %+v", c)
	}
	if c := claim(t, s, as("three", "two")); !c.Admits("three", -1) {
		t.Fatalf("who resumes the one that resumed is answered %+v", c)
	}
	c := claim(t, s, as("late", ""))
	if c.At.IsZero() || c.Age < 0 || c.Age > time.Minute || c.Admits("late", -1) || !c.Admits("late", time.Minute) {
		t.Fatalf("one within the grace is answered %+v", c)
	}
}

func claimEnds(t *testing.T, b Backing) {
	s := b.Open(t)
	m := revocation.Mark{Key: JTI(t, "a").Key(), Owner: "one", Until: time.Now().Add(200 * time.Millisecond)}
	claim(t, s, m)
	m.Owner, m.Until = "two", time.Time{}
	Eventually(t, "the mark goes with its token", func() bool { return claim(t, s, m).First })
	if c := claim(t, s, m); c.First || c.Owner != "two" {
		t.Fatalf("a mark without an end is answered %+v", c)
	}
}
