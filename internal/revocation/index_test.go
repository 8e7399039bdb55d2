package revocation

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func entry(t testing.TB, r Revocation) Entry {
	t.Helper()
	p, err := Prepare(r, time.UnixMilli(1))
	if err != nil {
		t.Fatal(err)
	}
	return p.Entry()
}

func jti(n int) Entry {
	return Entry{Key: keyOf(kindJTI, "app", fmt.Sprint(n)), Selector: SelectJTI}
}

var somebody = Subject{
	Issuer: "app", JTI: "j", User: "u", KeyID: "k", Fingerprint: [16]byte{1, 2, 3},
	Rooms: []string{"Standup", "retro"}, Tenant: "Acme", IssuedAt: 1000_000,
}

func TestIndex_EachSelectorRevokesWhatItNames(t *testing.T) {
	fingerprint := Key(somebody.Fingerprint).String()
	for _, c := range []struct {
		name    string
		r       Revocation
		revokes bool
	}{
		{"the token", Revocation{Selector: SelectToken, Value: fingerprint}, true},
		{"another token", Revocation{Selector: SelectToken, Value: "00" + fingerprint[2:]}, false},
		{"the jti", Revocation{Selector: SelectJTI, Issuer: "app", Value: "j"}, true},
		{"the jti of another issuer", Revocation{Selector: SelectJTI, Issuer: "other", Value: "j"}, false},
		{"the user", Revocation{Selector: SelectUser, Issuer: "app", Value: "u"}, true},
		{"the user of another issuer", Revocation{Selector: SelectUser, Issuer: "other", Value: "u"}, false},
		{"a user named as the jti", Revocation{Selector: SelectUser, Issuer: "app", Value: "j"}, false},
		{"an issuer and user that only run together alike", Revocation{Selector: SelectUser, Issuer: "ap", Value: "pu"}, false},
		{"the key", Revocation{Selector: SelectKey, Issuer: "app", Value: "k"}, true},
		{"the key of another issuer", Revocation{Selector: SelectKey, Issuer: "other", Value: "k"}, false},
		{"the issuer", Revocation{Selector: SelectIssuer, Value: "app"}, true},
		{"the issuer in its own field", Revocation{Selector: SelectIssuer, Issuer: "app"}, true},
		{"another issuer", Revocation{Selector: SelectIssuer, Value: "App"}, false},
		{"the room", Revocation{Selector: SelectRoom, Value: "standup"}, true},
		{"another of its rooms, spelt otherwise", Revocation{Selector: SelectRoom, Value: "RETRO"}, true},
		{"the room in its tenant", Revocation{Selector: SelectRoom, Value: "[acme]standup"}, true},
		{"the room's JID", Revocation{Selector: SelectRoom, Value: "[acme]Standup@conference.example.com"}, true},
		{"the JID without a tenant", Revocation{Selector: SelectRoom, Value: "standup@conference.example.com"}, true},
		{"the room in another tenant", Revocation{Selector: SelectRoom, Value: "[other]standup"}, false},
		{"the tenant", Revocation{Selector: SelectRoom, Value: "[ACME]"}, true},
		{"another tenant", Revocation{Selector: SelectRoom, Value: "[other]"}, false},
		{"another room", Revocation{Selector: SelectRoom, Value: "standups"}, false},
		{"a room named as the tenant", Revocation{Selector: SelectRoom, Value: "acme"}, false},
	} {
		x := NewIndex(0)
		e := entry(t, c.r)
		x.Put(e)
		m := MarksOf(somebody)
		id, revoked := x.Check(&m, 5000_000)
		if revoked != c.revokes || revoked && id != e.Key.String() {
			t.Errorf("revoking %s: revoked %t by %q", c.name, revoked, id)
		}
		x.Remove(e.Key)
		if _, revoked := x.Check(&m, 5000_000); revoked {
			t.Errorf("lifting %s did not lift it", c.name)
		}
	}
}

func TestIndex_StarIsNoTenantButARoomLikeAnother(t *testing.T) {
	x := NewIndex(0)
	m := MarksOf(Subject{Issuer: "app", Rooms: []string{"*"}, Tenant: "*"})
	x.Put(entry(t, Revocation{Selector: SelectRoom, Value: "[*]"}))
	if _, revoked := x.Check(&m, 1); revoked {
		t.Error("a subject of * was taken for a tenant")
	}
	x.Put(entry(t, Revocation{Selector: SelectRoom, Value: "*"}))
	if _, revoked := x.Check(&m, 1); !revoked {
		t.Error("a token for any room was not revoked by room *")
	}
}

func TestIndex_EveryRoomOfATokenCounts(t *testing.T) {
	s := Subject{Issuer: "app"}
	for n := range 100 {
		s.Rooms = append(s.Rooms, fmt.Sprint("room", n))
	}
	m := MarksOf(s)
	for n := range 100 {
		x := NewIndex(0)
		x.Put(entry(t, Revocation{Selector: SelectRoom, Value: fmt.Sprint("room", n)}))
		if _, revoked := x.Check(&m, 1); !revoked {
			t.Errorf("room %d of 100 was not looked at", n)
		}
	}
}

func TestIndex_IssuedBeforeSparesLaterTokens(t *testing.T) {
	x := NewIndex(0)
	x.Put(entry(t, Revocation{Selector: SelectUser, Issuer: "app", Value: "u", IssuedBefore: time.UnixMilli(1000)}))
	x.Put(entry(t, Revocation{Selector: SelectRoom, Value: "room", IssuedBefore: time.UnixMilli(1000)}))
	for issued, want := range map[int64]bool{999: true, 1000: false, 1001: false, 0: true} {
		for _, s := range []Subject{{User: "u"}, {Rooms: strings.Fields("a b c d e f g h i j room")}} {
			s.Issuer, s.IssuedAt = "app", issued
			m := MarksOf(s)
			if _, revoked := x.Check(&m, 5000); revoked != want {
				t.Errorf("%+v, revoked before 1000: %t", s, revoked)
			}
		}
	}
}

// What the last token had in common with others is looked up no more; any of it may differ in the next.
func TestShared_GivesEachTokenItsOwnMarks(t *testing.T) {
	var x Shared
	for _, s := range []Subject{
		somebody, somebody,
		{Issuer: "other", KeyID: somebody.KeyID, Tenant: somebody.Tenant},
		{Issuer: "other", KeyID: "another", Tenant: somebody.Tenant},
		{Issuer: "other", KeyID: "another", Tenant: "another"},
		{Issuer: "other", KeyID: "another"},
		{Issuer: "other", KeyID: "another", AnyIssuer: true}, {Issuer: "a third", KeyID: "another", AnyIssuer: true},
	} {
		if got, want := x.MarksOf(s), MarksOf(s); !slices.Equal(got.Keys(), want.Keys()) {
			t.Errorf("%+v: got %v, want %v", s, got.Keys(), want.Keys())
		}
	}
}

func TestIndex_ExpiredEntriesRevokeNothingAndAreSwept(t *testing.T) {
	x := NewIndex(0)
	for n := range 1000 {
		e := jti(n)
		e.ExpiresAt = 1000
		x.Put(e)
	}
	m := MarksOf(Subject{Issuer: "app", JTI: "7"})
	if _, revoked := x.Check(&m, 999); !revoked {
		t.Error("before its expiry it did not revoke")
	}
	if _, revoked := x.Check(&m, 1000); revoked {
		t.Error("at its expiry it still revoked")
	}
	sweep := func(now int64) {
		for range sweepParts {
			x.Sweep(now, x.capacity()/sweepParts+1)
		}
	}
	gone := 1000 + ExpiredFor.Milliseconds()
	sweep(gone - 1)
	if _, revoked := x.Check(&m, 999); !revoked { // the clock had jumped ahead, and is set right
		t.Error("swept within a day of its expiry, it does not revoke any more")
	}
	if before, at := x.Active(999)[SelectJTI], x.Active(1000)[SelectJTI]; before != 1000 || at != 0 {
		t.Errorf("%d are counted before their expiry and %d at it", before, at)
	}
	sweep(gone)
	if x.Len() != 0 || x.present.Load() != 0 {
		t.Errorf("after a sweep %d are left", x.Len())
	}
}

func TestIndex_GrowsAndKeepsAll(t *testing.T) {
	const n = 20_000
	x := NewIndex(0)
	for i := range n {
		x.Put(jti(i))
		if i%3 == 0 {
			x.Remove(jti(i).Key)
		}
	}
	for i := range n {
		if x.covers(jti(i)) != (i%3 != 0) {
			t.Fatalf("entry %d is held: %t", i, x.covers(jti(i)))
		}
	}
	if got, want := x.Len(), n-(n+2)/3; got != want || x.Active(1)[SelectJTI] != want {
		t.Errorf("%d entries are counted, want %d", got, want)
	}
}

// Puts and removals for ever must not fill the table with graves.
func TestIndex_GravesAreClearedAway(t *testing.T) {
	x := NewIndex(0)
	for i := range 100_000 {
		x.Put(jti(i))
		x.Remove(jti(i).Key)
	}
	if c := x.capacity(); c > 1000 {
		t.Errorf("an empty index has %d slots", c)
	}
}

func TestIndex_ReadersSeeWholeEntriesWhileOthersWrite(t *testing.T) {
	x := NewIndex(0)
	const steady = 100
	for i := range steady {
		x.Put(jti(i))
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				m := MarksOf(Subject{Issuer: "app", JTI: fmt.Sprint(rand.IntN(steady))})
				if _, revoked := x.Check(&m, 1); !revoked {
					t.Error("an entry that was always there was not found")
					return
				}
				m = MarksOf(Subject{Issuer: "app", JTI: "never"})
				if _, revoked := x.Check(&m, 1); revoked {
					t.Error("an entry that was never there was found")
					return
				}
			}
		})
	}
	for i := steady; i < 30_000; i++ {
		x.Put(jti(i))
		if i-50 >= steady {
			x.Remove(jti(i - 50).Key)
		}
		x.Put(jti(i % steady)) // the steady ones are put again and again
	}
	close(stop)
	wg.Wait()
}

func TestIndex_LookupsAllocateNothing(t *testing.T) {
	x := NewIndex(0)
	for i := range 1000 {
		x.Put(jti(i))
	}
	m := MarksOf(somebody)
	if n := testing.AllocsPerRun(100, func() { x.Check(&m, 1) }); n != 0 {
		t.Errorf("a lookup allocates %v times", n)
	}
}
