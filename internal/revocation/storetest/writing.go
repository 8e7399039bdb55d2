package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/revocation"
)

func revoking(t *testing.T, b Backing) {
	ctx := limited(t)
	one, two := b.Open(t), b.Open(t)
	r := JTI(t, "a")
	w := revoke(t, one, r)
	if !w.Outcomes[0].New || w.Outcomes[0].Revocation != r || w.Seq != 1 {
		t.Fatalf("the first revocation was answered as %+v", w)
	}
	got, err := two.Get(ctx, r.Key())
	if err != nil || got != r {
		t.Fatalf("the other handle has %+v, %v; want %+v", got, err, r)
	}
	if w := revoke(t, two, JTI(t, "a")); w.Outcomes[0].New || w.Outcomes[0].Revocation != r {
		t.Fatalf("the same again was answered as %+v", w.Outcomes[0])
	}
	if _, err := two.Get(ctx, JTI(t, "b").Key()); !errors.Is(err, revocation.ErrNotFound) {
		t.Fatalf("what was never revoked gives %v", err)
	}
}

func revokingTwice(t *testing.T, b Backing) {
	s := b.Open(t)
	now := time.Now().UTC().Truncate(time.Second)
	with := func(before, expires time.Duration) revocation.Revocation {
		return Prepared(t, revocation.Revocation{Selector: revocation.SelectUser, Issuer: "app", Value: "u",
			IssuedBefore: now.Add(before), ExpiresAt: now.Add(expires)})
	}
	revoke(t, s, with(-time.Hour, time.Hour))
	got := revoke(t, s, with(-time.Minute, time.Minute)).Outcomes[0]
	if got.New || !got.Revocation.IssuedBefore.Equal(now.Add(-time.Minute)) || !got.Revocation.ExpiresAt.Equal(now.Add(time.Hour)) {
		t.Fatalf("the two together are %+v", got)
	}
	read, err := s.Get(limited(t), got.Revocation.Key())
	if err != nil || read != got.Revocation {
		t.Fatalf("kept is %+v, %v; answered was %+v", read, err, got.Revocation)
	}
}

func revokingWithout(t *testing.T, b Backing) {
	s := b.Open(t)
	r := revocation.Revocation{Selector: revocation.SelectUser, Issuer: "app", Value: "u", IssuedBefore: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}
	revoke(t, s, Prepared(t, r))
	for range 2 { // widened, and then narrowed in vain
		got := revoke(t, s, Prepared(t, revocation.Revocation{Selector: r.Selector, Issuer: r.Issuer, Value: r.Value})).Outcomes[0].Revocation
		if !got.IssuedBefore.IsZero() || !got.ExpiresAt.IsZero() {
			t.Fatalf("every token, for ever, was kept as %+v", got)
		}
		got = revoke(t, s, Prepared(t, r)).Outcomes[0].Revocation
		if !got.IssuedBefore.IsZero() || !got.ExpiresAt.IsZero() {
			t.Fatalf("a narrower revocation narrowed a wider one: %+v", got)
		}
	}
}

func explaining(t *testing.T, b Backing) {
	s := b.Open(t)
	r := revocation.Revocation{Selector: revocation.SelectUser, Issuer: "app", Value: "ü/\"<u>\u2028", Actor: "cred:a"}
	revoke(t, s, Prepared(t, r))
	r.Reason, r.Actor = "why \\ not", "cred:b"
	got := revoke(t, s, Prepared(t, r)).Outcomes[0].Revocation
	if got.Reason != "why \\ not" || got.Actor != "cred:a" || got.Value != r.Value {
		t.Fatalf("kept is %+v", got)
	}
	r.Reason = "another"
	if got := revoke(t, s, Prepared(t, r)).Outcomes[0].Revocation; got.Reason != "why \\ not" {
		t.Fatalf("the first reason was overwritten: %+v", got)
	}
}

func lifting(t *testing.T, b Backing) {
	ctx := limited(t)
	s := b.Open(t)
	r := JTI(t, "a")
	revoke(t, s, r)
	lifted, w, err := s.Lift(ctx, r.Key(), "cred:lifter")
	if err != nil || lifted != r || w.Seq != 2 {
		t.Fatalf("lifted %+v, %+v, %v", lifted, w, err)
	}
	if _, err := s.Get(ctx, r.Key()); !errors.Is(err, revocation.ErrNotFound) {
		t.Fatalf("a lifted revocation gives %v", err)
	}
	if _, _, err := s.Lift(ctx, r.Key(), "cred:lifter"); !errors.Is(err, revocation.ErrNotFound) {
		t.Fatalf("lifting again gives %v", err)
	}
	if w := revoke(t, s, r); !w.Outcomes[0].New {
		t.Fatal("after a lift the same revocation is a new one")
	}
}

func expiring(t *testing.T, b Backing) {
	ctx := limited(t)
	s := b.Open(t)
	r := JTI(t, "a")
	r.ExpiresAt = time.Now().Add(300 * time.Millisecond).UTC().Truncate(time.Millisecond)
	revoke(t, s, r)
	if _, err := s.Get(ctx, r.Key()); err != nil && time.Now().Before(r.ExpiresAt) {
		t.Fatalf("before it expires: %v", err)
	}
	Eventually(t, "the revocation expires", func() bool {
		_, err := s.Get(ctx, r.Key())
		return errors.Is(err, revocation.ErrNotFound)
	})
	page, err := s.List(ctx, revocation.Query{})
	if err != nil || len(page.Items) != 0 {
		t.Fatalf("the list still has %+v, %v", page.Items, err)
	}
	Eventually(t, "the store takes the same for a new one", func() bool {
		_, _, err := s.Lift(ctx, r.Key(), "cred:lifter")
		return errors.Is(err, revocation.ErrNotFound)
	})
	r.ExpiresAt = time.Time{}
	if w := revoke(t, s, r); !w.Outcomes[0].New || !w.Outcomes[0].Revocation.ExpiresAt.IsZero() {
		t.Fatalf("revoked anew: %+v", w.Outcomes[0])
	}
}

// keeping: a clock that jumps ahead makes everything look expired, and nothing of it may be gone when it is set right.
func keeping(t *testing.T, b Backing) {
	ctx := limited(t)
	s := b.Open(t)
	kept, gone := JTI(t, "kept"), JTI(t, "gone")
	kept.ExpiresAt = time.Now().Add(time.Minute - revocation.ExpiredFor).UTC().Truncate(time.Millisecond)
	gone.ExpiresAt = time.Now().Add(-time.Minute - revocation.ExpiredFor).UTC().Truncate(time.Millisecond)
	revoke(t, s, kept, gone)
	if _, err := s.State(ctx, revocation.Identity{Epoch: "e"}, ""); err != nil { // clears away
		t.Fatal(err)
	}
	if found := all(t, s); len(found) != 1 || found[kept.Key()] != kept.Entry() {
		t.Errorf("the snapshot has %+v", found)
	}
	found, err := s.Lookup(ctx, []revocation.Key{kept.Key(), gone.Key()})
	if err != nil || len(found) != 1 || found[0].Revokes(0, time.Now().UnixMilli()) || !found[0].Revokes(0, kept.ExpiresAt.UnixMilli()-1) {
		t.Errorf("looked up is %+v, %v", found, err)
	}
	if _, err := s.Get(ctx, kept.Key()); !errors.Is(err, revocation.ErrNotFound) {
		t.Errorf("what has expired is given: %v", err)
	}
	if page, err := s.List(ctx, revocation.Query{}); err != nil || len(page.Items) != 0 {
		t.Errorf("what has expired is listed: %+v, %v", page.Items, err)
	}
	l := Ledger(t, s)
	if Denies(t, l, "kept", revocation.Rules{}) || Denies(t, l, "kept", revocation.Rules{Strict: true}) {
		t.Error("what has expired revokes")
	}
	if n := l.Stats().Entries[revocation.SelectJTI]; n != 0 {
		t.Errorf("what has expired is counted: %d", n)
	}
}

func writers(t *testing.T, b Backing) {
	const nodes, each = 4, 50
	done := make(chan error, nodes)
	for n := range nodes {
		s := b.Open(t)
		go func() {
			for i := range each {
				r := JTI(t, fmt.Sprintf("%d-%d", n, i))
				if _, err := s.Revoke(limited(t), []revocation.Revocation{r}); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range nodes {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	s := b.Open(t)
	st, err := s.State(limited(t), revocation.Identity{Epoch: "e"}, "")
	if err != nil || st.Seq != nodes*each || st.Entries < 0 {
		t.Fatalf("after %d writes the store stands at %+v, %v", nodes*each, st, err)
	}
	if n := len(all(t, s)); n != nodes*each {
		t.Fatalf("%d of %d are there", n, nodes*each)
	}
}

func restoring(t *testing.T, b Backing) {
	ctx := limited(t)
	s := b.Open(t)
	there, lifted, lost, nameless := JTI(t, "there"), JTI(t, "lifted"), JTI(t, "lost"), JTI(t, "nameless")
	revoke(t, s, there, lifted)
	if _, _, err := s.Lift(ctx, lifted.Key(), "cred:lifter"); err != nil {
		t.Fatal(err)
	}
	again := JTI(t, "again") // lifted, then revoked once more: the latter is what the store lost
	revoke(t, s, again)
	if _, _, err := s.Lift(ctx, again.Key(), "cred:lifter"); err != nil {
		t.Fatal(err)
	}
	again.CreatedAt = again.CreatedAt.Add(time.Minute)
	n, err := s.Restore(ctx, []revocation.Lost{
		{Entry: there.Entry(), Revocation: &there}, {Entry: lifted.Entry(), Revocation: &lifted}, {Entry: again.Entry(), Revocation: &again},
		{Entry: lost.Entry(), Revocation: &lost}, {Entry: nameless.Entry()},
	})
	if err != nil || n != 3 {
		t.Fatalf("restored %d, %v; want the three that are not there, nor lifted since they were made", n, err)
	}
	if got, err := s.Get(ctx, again.Key()); err != nil || got != again {
		t.Fatalf("what was revoked again after it had been lifted was restored as %+v, %v", got, err)
	}
	if got, err := s.Get(ctx, lost.Key()); err != nil || got != lost {
		t.Fatalf("restored as %+v, %v", got, err)
	}
	got, err := s.Get(ctx, nameless.Key())
	if err != nil || got.ID != nameless.ID || got.Selector != revocation.SelectJTI {
		t.Fatalf("what only its key is known of was restored as %+v, %v", got, err)
	}
}

func widening(t *testing.T, b Backing) {
	ctx := limited(t)
	s := b.Open(t)
	at := func(hours time.Duration) time.Time {
		return time.Now().Add(hours * time.Hour).UTC().Truncate(time.Hour)
	}
	user := func(value string, before, expires time.Time) revocation.Revocation {
		return Prepared(t, revocation.Revocation{Selector: revocation.SelectUser, Issuer: "app", Value: value, IssuedBefore: before, ExpiresAt: expires, Actor: "cred:soc"})
	}
	earlier, later := user("earlier", at(-9), at(9)), user("later", at(-1), at(99))
	expired := user("expired", at(-9), at(9))
	expired.ExpiresAt = at(-9)
	revoke(t, s, earlier, later, expired)
	n, err := s.Restore(ctx, []revocation.Lost{
		{Entry: user("earlier", at(-1), time.Time{}).Entry()}, {Entry: user("later", at(-9), at(9)).Entry()}, {Entry: user("expired", at(-9), at(9)).Entry()},
	})
	if err != nil || n != 2 {
		t.Fatalf("restored %d, %v; want the two that had earlier times", n, err)
	}
	earlier.IssuedBefore, earlier.ExpiresAt = at(-1), time.Time{}
	for _, want := range []revocation.Revocation{earlier, later} {
		if got, err := s.Get(ctx, want.Key()); err != nil || got != want {
			t.Errorf("kept is %+v, %v; want %+v", got, err, want)
		}
	}
	if got, err := s.Get(ctx, expired.Key()); err != nil || !got.ExpiresAt.Equal(at(9)) {
		t.Errorf("what had expired in the store is restored as %+v, %v", got, err)
	}
	last, err := s.Changes(ctx, 3, 0)
	if err != nil || len(last) != 2 || last[0].Entry != earlier.Entry() || last[0].Actor != "" {
		t.Errorf("the changes are %+v, %v", last, err)
	}
}
