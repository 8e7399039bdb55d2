package audit

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/usher-im/usher/internal/reason"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 123e6, time.UTC)

// full is an event with every member set.
func full() Event {
	return Event{
		Time: noon, ID: NewID(noon), Kind: Decision, Proven: true, Node: "node-1", Host: "meet.example.com", Profile: "default",
		Session: "c2s55d0f", Stage: "join", Verdict: Deny, Reason: reason.RoomMismatch, Detail: "the claim opens a, not b",
		Issuer: "my-app", Subject: "meet.example.com", UserID: "u-17", UserName: "Ada", UserEmail: "ada@example.com",
		Room: "[acme]standup@conference.example.com", Tenant: "acme", JTI: "0a1b", Kid: "2026-a", Alg: "RS256",
		Fingerprint: Fingerprint{1, 2, 3, 15: 9}, RemoteIP: "192.0.2.7", UserAgent: "Mozilla/5.0", LatencyUS: 42,
		Actor: "cred:soc-1", RevocationID: "r1", DecisionID: "d1", Outcome: "ejected",
	}
}

func TestPack_EveryMemberComesBack(t *testing.T) {
	odd := full()
	odd.ID, odd.Kind, odd.Stage, odd.Alg, odd.RemoteIP = "not-a-ulid", "novel", "later", "XX1", "unix:@"
	late := full()
	late.Time = noon.Add(3 * time.Second)
	for name, e := range map[string]Event{"full": full(), "odd": odd, "late": late, "empty": {Time: noon}} {
		got, err := Unpack(Pack(nil, &e))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(got, e) {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, e)
		}
	}
}

func TestPack_StaysWithinItsBound(t *testing.T) {
	e := full()
	for n := range 40 {
		e.UserAgent = strings.Repeat("é", n*37)
		e.Room = strings.Repeat("r", n*11)
		e.RemoteIP = strings.Repeat("9", n*9)
		fields := e.texts()
		if got, bound := len(Pack(nil, &e)), packedBound(&e, &fields); got > bound {
			t.Fatalf("packed %d bytes, reserved %d", got, bound)
		}
	}
}

func TestPack_LongTextIsCutOnARuneAndStaysDistinct(t *testing.T) {
	e := full()
	e.UserID = strings.Repeat("ü", 300)
	a, _ := Unpack(Pack(nil, &e))
	e.UserID += "x"
	b, _ := Unpack(Pack(nil, &e))
	if len(a.UserID) > maxField || !utf8.ValidString(a.UserID) {
		t.Errorf("cut to %d bytes, valid %v", len(a.UserID), utf8.ValidString(a.UserID))
	}
	if a.UserID == b.UserID {
		t.Error("two long texts became one")
	}
	if Cut(e.UserID) != b.UserID {
		t.Error("Cut does not say what Pack keeps")
	}
}

func TestPack_OneAddressHasOneSpelling(t *testing.T) {
	for in, want := range map[string]string{
		"::ffff:192.0.2.1": "192.0.2.1", "2001:DB8:0::1": "2001:db8::1", "fe80::1%eth0": "fe80::1", "nonsense": "nonsense",
	} {
		got, err := Unpack(Pack(nil, &Event{Time: noon, RemoteIP: in}))
		if err != nil || got.RemoteIP != want || Address(in) != want {
			t.Errorf("%s became %s (Address: %s), want %s: %v", in, got.RemoteIP, Address(in), want, err)
		}
	}
}

func TestUnpack_DamageIsAnErrorNeverACrash(t *testing.T) {
	e := full()
	good := Pack(nil, &e)
	for n := range good {
		_, _ = Unpack(good[:n])
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		bad := append([]byte(nil), good...)
		for range 1 + r.IntN(4) {
			bad[r.IntN(len(bad))] = byte(r.Uint32())
		}
		_, _ = Unpack(bad)
	}
	good[0] = layoutVersion + 1
	if _, err := Unpack(good); err == nil || !strings.Contains(err.Error(), "newer usher") {
		t.Errorf("a newer layout gave %v", err)
	}
}

func TestNewID_SortsByTimeAndNamesIt(t *testing.T) {
	a, b := NewID(noon), NewID(noon.Add(time.Millisecond))
	if a >= b || len(a) != 26 {
		t.Errorf("%s is not before %s", a, b)
	}
	if at, ok := idTime(a); !ok || !at.Equal(noon) {
		t.Errorf("%s says %v, want %v", a, at, noon)
	}
	if n := testing.AllocsPerRun(100, func() { sink = NewID(noon) }); n > 1 {
		t.Errorf("%v allocations", n)
	}
}

var sink string
