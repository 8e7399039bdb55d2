package revocation

import (
	"strings"
	"testing"
	"time"
)

const rawToken = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJhcHAifQ.c2lnbmF0dXJl"

func TestPrepare_BringsWhatIsAskedForIntoOneForm(t *testing.T) {
	now := time.Unix(1_790_000_000, 123_456_789)
	for _, c := range []struct {
		name     string
		in, want Revocation
	}{
		{"a token pasted whole is kept as its fingerprint", Revocation{Selector: SelectToken, Value: " " + rawToken + "\n", Issuer: "app"},
			Revocation{Selector: SelectToken, Value: "2e2cb22bd1d9a1b6dc6d3a07d8e8d43b"}},
		{"a fingerprint in capitals", Revocation{Selector: SelectToken, Value: "00FF00FF00FF00FF00FF00FF00FF00FF"},
			Revocation{Selector: SelectToken, Value: "00ff00ff00ff00ff00ff00ff00ff00ff"}},
		{"an issuer in its scope", Revocation{Selector: SelectIssuer, Issuer: "app"}, Revocation{Selector: SelectIssuer, Value: "app"}},
		{"a room is prepared", Revocation{Selector: SelectRoom, Value: "Caf%C3%A9"}, Revocation{Selector: SelectRoom, Value: "café"}},
		{"a room's JID", Revocation{Selector: SelectRoom, Value: "[Acme]Café@conference.example.com/nick"}, Revocation{Selector: SelectRoom, Value: "[acme]café"}},
		{"a room whose name holds an encoded percent and at", Revocation{Selector: SelectRoom, Value: "a%2540b%40c"}, Revocation{Selector: SelectRoom, Value: "a%2540b%40c"}},
		{"a tenant", Revocation{Selector: SelectRoom, Value: "[Acme]"}, Revocation{Selector: SelectRoom, Value: "[acme]"}},
		{"a bracket that closes nowhere", Revocation{Selector: SelectRoom, Value: "[acme"}, Revocation{Selector: SelectRoom, Value: "%5bacme"}},
		{"brackets with nothing in them", Revocation{Selector: SelectRoom, Value: "[]x"}, Revocation{Selector: SelectRoom, Value: "%5b]x"}},
		{"a name that looks like a tenant's once decoded", Revocation{Selector: SelectRoom, Value: "%5Bacme%5Dx"}, Revocation{Selector: SelectRoom, Value: "%5bacme]x"}},
		{"a tenant as Prosody spells it", Revocation{Selector: SelectRoom, Value: "[Straße]Standup"}, Revocation{Selector: SelectRoom, Value: "[strasse]standup"}},
		{"an expiry that cannot be written is none", Revocation{Selector: SelectIssuer, Value: "app", ExpiresAt: time.UnixMilli(253402300800000)}, Revocation{Selector: SelectIssuer, Value: "app"}},
		{"times to the millisecond", Revocation{Selector: SelectUser, Issuer: "app", Value: "u", IssuedBefore: now, ExpiresAt: now.Add(time.Hour)},
			Revocation{Selector: SelectUser, Issuer: "app", Value: "u", IssuedBefore: now.UTC().Truncate(time.Millisecond), ExpiresAt: now.Add(time.Hour).UTC().Truncate(time.Millisecond)}},
	} {
		got, err := Prepare(c.in, now)
		if c.in.Value == " "+rawToken+"\n" {
			c.want.Value = got.ID // its fingerprint, as the id is
		}
		c.want.ID, c.want.CreatedAt = got.ID, now.UTC().Truncate(time.Millisecond)
		if err != nil || got != c.want || got.ID != got.Key().String() {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
}

func TestPrepare_SaysWhatIsWrong(t *testing.T) {
	now := time.Unix(1_790_000_000, 0)
	for _, c := range []struct {
		r    Revocation
		says string
	}{
		{Revocation{Selector: "session", Value: "x"}, "use token, jti, user, kid, issuer or room"},
		{Revocation{Selector: SelectJTI, Value: "x"}, "only together with its issuer"},
		{Revocation{Selector: SelectKey, Issuer: "app"}, "the value is empty"},
		{Revocation{Selector: SelectIssuer}, "the value is empty"},
		{Revocation{Selector: SelectIssuer, Issuer: "a", Value: "b"}, "two issuers"},
		{Revocation{Selector: SelectRoom, Issuer: "app", Value: "x"}, "leave the issuer out"},
		{Revocation{Selector: SelectRoom, Value: "@conference.example.com"}, "no room can be named"},
		{Revocation{Selector: SelectRoom, Value: "[a＠b]x"}, "no room can be named"},
		{Revocation{Selector: SelectToken, Value: "not.a-token"}, "neither a token nor a fingerprint"},
		{Revocation{Selector: SelectUser, Issuer: "app", Value: strings.Repeat("u", 5000)}, "at most 4096 bytes"},
		{Revocation{Selector: SelectUser, Issuer: "app", Value: "u\xff"}, "must be UTF-8"},
		{Revocation{Selector: SelectUser, Issuer: "app", Value: "u", Reason: strings.Repeat("r", 2000)}, "the reason must be"},
		{Revocation{Selector: SelectUser, Issuer: "app", Value: "u", ExpiresAt: now}, "would have expired"},
	} {
		if _, err := Prepare(c.r, now); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v; it should say %q", c.r, err, c.says)
		}
	}
}

// What revoked is also what finds it: an issuer that is named beside a selector that has no scope would find nothing.
func TestQuery_IsPreparedAsTheRevocationWas(t *testing.T) {
	const print = "00ff00ff00ff00ff00ff00ff00ff00ff"
	for _, c := range []struct{ asked, want Query }{
		{Query{Selector: SelectIssuer, Issuer: "app"}, Query{Selector: SelectIssuer, Value: "app"}},
		{Query{Selector: SelectIssuer, Issuer: "app", Value: "app"}, Query{Selector: SelectIssuer, Value: "app"}},
		{Query{Selector: SelectToken, Issuer: "app", Value: strings.ToUpper(print)}, Query{Selector: SelectToken, Value: print}},
		{Query{Selector: SelectRoom, Value: "Stand%20Up"}, Query{Selector: SelectRoom, Value: "stand up"}},
		{Query{Selector: SelectJTI, Issuer: "app", Value: "a"}, Query{Selector: SelectJTI, Issuer: "app", Value: "a"}},
		{Query{Selector: SelectJTI, Value: "a"}, Query{Selector: SelectJTI, Value: "a"}},
		{Query{Selector: SelectUser, Issuer: "app"}, Query{Selector: SelectUser, Issuer: "app"}},
		{Query{Issuer: "app", Value: "a"}, Query{Issuer: "app", Value: "a"}},
	} {
		if got, err := c.asked.Prepared(); err != nil || got != c.want {
			t.Errorf("%+v: %+v, %v; want %+v", c.asked, got, err, c.want)
		}
	}
}

// A token under another selector would be kept as it stands, and not be revoked.
func TestPrepare_TakesNoTokenForAnotherValue(t *testing.T) {
	for _, selector := range Selectors() {
		for says, r := range map[string]Revocation{
			"the value is a token":         {Selector: selector, Value: " " + rawToken + "\n"},
			"the reason has a token in it": {Selector: selector, Value: "x", Reason: "found <https://meet.example.com/?jwt=" + rawToken + ">."},
		} {
			if selector.Scoped() {
				r.Issuer = "app"
			}
			_, err := Prepare(r, time.Now())
			if selector == SelectToken && r.Reason == "" {
				continue
			}
			if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "eyJ") {
				t.Errorf("%s: %v; it should say %q", selector, err, says)
			}
		}
	}
	for _, id := range []string{"aa.bb.cc", "john.m.doe", "550e8400-e29b-41d4-a716-446655440000", "ey.e30.x", "exam.corp.test", "ezra.fitz.jane"} {
		if _, err := Prepare(Revocation{Selector: SelectJTI, Issuer: "https://exam.corp.test/", Value: id, Reason: "of " + id}, time.Now()); err != nil {
			t.Errorf("%s is no token: %v", id, err)
		}
	}
}

// A mistaken token must not come back in an error, where a log would keep it.
func TestPrepare_NeverQuotesATokenBack(t *testing.T) {
	for _, value := range []string{rawToken + ".x", rawToken + "=", "Bearer " + rawToken} {
		_, err := Prepare(Revocation{Selector: SelectToken, Value: value}, time.Now())
		if err == nil || strings.Contains(err.Error(), "eyJ") {
			t.Errorf("the error is %v", err)
		}
	}
}

func FuzzPrepare(f *testing.F) {
	for _, s := range Selectors() {
		f.Add(string(s), "app", "[tenant]Room%20A@conference.example.com")
	}
	f.Add("room", "", "［a＠b］x")
	f.Add("token", "", rawToken)
	f.Fuzz(func(t *testing.T, selector, issuer, value string) {
		now := time.Unix(1_790_000_000, 0)
		once, err := Prepare(Revocation{Selector: Selector(selector), Issuer: issuer, Value: value}, now)
		if err != nil {
			return
		}
		again, err := Prepare(once, now)
		if err != nil || again != once {
			t.Errorf("prepared twice it is another: %+v, then %+v, %v", once, again, err)
		}
	})
}
