package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/revocation"
)

func listing(t *testing.T, b Backing) {
	ctx := limited(t)
	s := b.Open(t)
	var all []revocation.Revocation
	for i := range 25 {
		all = append(all, JTI(t, fmt.Sprint(i)))
	}
	revoke(t, s, all...)
	q, seen := revocation.Query{Limit: 10}, 0
	for pages := 1; ; pages++ {
		page, err := s.List(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Items {
			if want := all[len(all)-1-seen]; r != want {
				t.Fatalf("item %d is %+v, want %+v", seen, r, want)
			}
			seen++
		}
		if page.Next == "" {
			if pages != 3 || seen != 25 {
				t.Fatalf("%d items on %d pages", seen, pages)
			}
			break
		}
		q.Cursor = page.Next
	}
	if _, err := s.List(ctx, revocation.Query{Cursor: "nonsense"}); !errors.Is(err, revocation.ErrCursor) {
		t.Fatalf("a cursor that is none gives %v", err)
	}
}

func filtering(t *testing.T, b Backing) {
	s := b.Open(t)
	user := Prepared(t, revocation.Revocation{Selector: revocation.SelectUser, Issuer: "app", Value: "u", Actor: "cred:a"})
	other := Prepared(t, revocation.Revocation{Selector: revocation.SelectUser, Issuer: "other", Value: "u", Actor: "cred:b"})
	room := Prepared(t, revocation.Revocation{Selector: revocation.SelectRoom, Value: "Standup", Actor: "cred:a"})
	revoke(t, s, user, other, room)
	for _, c := range []struct {
		q    revocation.Query
		want []revocation.Revocation
	}{
		{revocation.Query{}, []revocation.Revocation{room, other, user}},
		{revocation.Query{Selector: revocation.SelectUser}, []revocation.Revocation{other, user}},
		{revocation.Query{Issuer: "app"}, []revocation.Revocation{user}},
		{revocation.Query{Value: "u", Actor: "cred:b"}, []revocation.Revocation{other}},
		{revocation.Query{Actor: "cred:a", Limit: 1}, []revocation.Revocation{room}},
		{revocation.Query{Selector: revocation.SelectUser, Issuer: "other", Value: "u"}, []revocation.Revocation{other}},
		{revocation.Query{Selector: revocation.SelectUser, Issuer: "other", Value: "u", Actor: "cred:a"}, nil},
		{revocation.Query{Selector: revocation.SelectUser, Issuer: "third", Value: "u"}, nil},
		{revocation.Query{Selector: revocation.SelectRoom, Value: room.Value}, []revocation.Revocation{room}},
		{revocation.Query{Selector: revocation.SelectToken, Value: user.ID}, nil},
	} {
		page, err := s.List(limited(t), c.q)
		if err != nil || fmt.Sprint(page.Items) != fmt.Sprint(c.want) {
			t.Errorf("%+v gives %+v, %v; want %+v", c.q, page.Items, err, c.want)
		}
	}
}

func lookingUp(t *testing.T, b Backing) {
	s := b.Open(t)
	r, before := JTI(t, "a"), JTI(t, "b")
	before.IssuedBefore = time.UnixMilli(1_790_000_000_123).UTC()
	before.ExpiresAt = time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
	revoke(t, s, r, before)
	found, err := s.Lookup(limited(t), []revocation.Key{JTI(t, "c").Key(), r.Key(), before.Key()})
	if err != nil || len(found) != 2 {
		t.Fatalf("found %+v, %v", found, err)
	}
	for _, e := range found {
		if e != r.Entry() && e != before.Entry() {
			t.Errorf("found %+v, which was not asked for or is changed", e)
		}
	}
}

func identity(t *testing.T, b Backing) {
	ctx := limited(t)
	first, err := b.Open(t).State(ctx, revocation.Identity{Epoch: "one", Secret: [16]byte{1, 0, 255}}, "")
	if err != nil || first.Epoch != "one" || first.Secret != [16]byte{1, 0, 255} || first.Seq != 0 {
		t.Fatalf("an empty store stands at %+v, %v", first, err)
	}
	second, err := b.Open(t).State(ctx, revocation.Identity{Epoch: "two", Secret: [16]byte{2}}, "")
	if err != nil || second.Identity != first.Identity || second.Run != first.Run {
		t.Fatalf("the next node sees %+v, %v; want %+v", second, err, first)
	}
	s := b.Open(t)
	revoke(t, s, JTI(t, "a"), JTI(t, "b"))
	third, err := s.State(ctx, revocation.Identity{Epoch: "three"}, "")
	if err != nil || third.Seq != 2 || third.Tag == "" {
		t.Fatalf("after two changes the store stands at %+v, %v", third, err)
	}
	last, err := s.Changes(ctx, 1, 0)
	if err != nil || len(last) != 1 || last[0].Tag != third.Tag {
		t.Fatalf("the last change is %+v, %v; the state's tag is %q", last, err, third.Tag)
	}
}

func all(t *testing.T, s revocation.Store) map[revocation.Key]revocation.Entry {
	t.Helper()
	found := map[revocation.Key]revocation.Entry{}
	err := s.Snapshot(limited(t), func(es []revocation.Entry) error {
		for _, e := range es {
			found[e.Key] = e
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func snapshot(t *testing.T, b Backing) {
	s := b.Open(t)
	if n := len(all(t, s)); n != 0 {
		t.Fatalf("an empty store gives %d entries", n)
	}
	var rs []revocation.Revocation
	for i := range 2500 {
		rs = append(rs, JTI(t, fmt.Sprint(i)))
	}
	revoke(t, s, rs...)
	found := all(t, s)
	for _, r := range rs {
		if found[r.Key()] != r.Entry() {
			t.Fatalf("the snapshot has %+v for %+v", found[r.Key()], r)
		}
	}
	if len(found) != len(rs) {
		t.Fatalf("%d entries for %d revocations", len(found), len(rs))
	}
}

func changes(t *testing.T, b Backing) {
	ctx := limited(t)
	s := b.Open(t)
	r := JTI(t, "a")
	revoke(t, s, r)
	if _, _, err := s.Lift(ctx, r.Key(), "cred:lifter"); err != nil {
		t.Fatal(err)
	}
	revoke(t, s, r, r) // the second changes nothing
	found, err := s.Changes(ctx, 0, 0)
	if err != nil || len(found) != 3 {
		t.Fatalf("changes are %+v, %v", found, err)
	}
	for i, c := range found {
		if c.Seq != uint64(i+1) || c.Entry != r.Entry() || c.Lifted != (i == 1) || c.Tag == "" || c.Actor != map[bool]string{true: "cred:lifter", false: "cred:soc"}[c.Lifted] {
			t.Errorf("change %d is %+v", i+1, c)
		}
	}
	if found[2].Revocation == nil || *found[2].Revocation != r {
		t.Errorf("the last change has %+v in full, want %+v", found[2].Revocation, r)
	}
	if none, err := s.Changes(ctx, 3, 0); err != nil || len(none) != 0 {
		t.Errorf("behind the last change are %+v, %v", none, err)
	}
}

func waking(t *testing.T, b Backing) {
	reader, writer := b.Open(t), b.Open(t)
	began := time.Now()
	if found, err := reader.Changes(limited(t), 0, 100*time.Millisecond); err != nil || len(found) != 0 {
		t.Fatalf("nothing happened, and the changes are %+v, %v", found, err)
	}
	if waited := time.Since(began); waited < 50*time.Millisecond {
		t.Fatalf("it waited %s only", waited)
	}
	got := make(chan []revocation.Change, 1)
	go func() {
		found, _ := reader.Changes(limited(t), 0, patience)
		got <- found
	}()
	revoke(t, writer, JTI(t, "a"))
	select {
	case found := <-got:
		if len(found) != 1 || found[0].Seq != 1 {
			t.Fatalf("woken with %+v", found)
		}
	case <-time.After(patience / 2):
		t.Fatal("a change did not wake who waited for it")
	}
}

func trimming(t *testing.T, b Backing) {
	s := b.Open(t)
	var rs []revocation.Revocation
	for i := range 3 * KeepChanges {
		rs = append(rs, JTI(t, fmt.Sprint(i)))
	}
	revoke(t, s, rs...)
	found, err := s.Changes(limited(t), 1, 0)
	if err != nil || len(found) == 0 || found[0].Seq == 2 {
		t.Fatalf("%d changes later the ones after the first begin with %+v, %v", len(rs), found[:min(1, len(found))], err)
	}
	if n := len(all(t, s)); n != len(rs) {
		t.Fatalf("%d of %d revocations are left", n, len(rs))
	}
}
