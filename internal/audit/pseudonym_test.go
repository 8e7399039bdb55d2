package audit

import (
	"strings"
	"testing"
)

func TestPseudonyms_StandInDetailsHoweverTheyAreWritten(t *testing.T) {
	long := "https://idp.example.com/realms/staff/users/" + strings.Repeat("ada.lovelace.", 4)
	p := NewPseudonyms([]byte("of this test"))
	for id, written := range map[string]string{
		"ada": `"ada"`, `ada"lovelace`: `"ada\"lovelace"`, "ada\u202elovelace": `"ada\u202elovelace"`, long: `"` + long[:64] + `…"`,
	} {
		e := Event{Kind: Decision, UserID: id, Subject: id, Detail: "sub " + written + " is not among the issuer's subjects [a]"}
		p.apply(&e)
		if want := `sub "` + p.User(id) + `" is not among the issuer's subjects [a]`; e.Detail != want {
			t.Errorf("%q: %s", id, e.Detail)
		}
	}
}

func TestPseudonyms_StandForALongValueAlsoWithinAName(t *testing.T) {
	p := NewPseudonyms([]byte("of this test"))
	for _, id := range []string{"ada.lovelace@example.com", "550e8400-e29b-41d4-a716-446655440000", "user-4711"} {
		e := Event{Kind: Decision, UserID: id, Detail: `sub "mailto:` + id + `", room ["office-` + id + `" "` + id + `_desk"]`}
		if p.apply(&e); strings.Contains(e.Detail, id) || strings.Count(e.Detail, e.UserID) != 3 {
			t.Error(e.Detail)
		}
	}
}

// Where only what was replaced is missing from words that everybody knows, its pseudonym hides nothing.
func TestPseudonyms_LeaveWordsAndTimesInWhichAValueStandsByChance(t *testing.T) {
	p := NewPseudonyms([]byte("of this test"))
	for _, id := range []string{"20", "e", "is", "now", "12", "7"} {
		for kind, detail := range map[Kind]string{
			Decision:   `exp is 2020-12-07T20:12:20Z, 20s before now; room ["meeting-7" "now20"] does not open "island"`,
			Revocation: "user, issued before 2020-12-07T20:12:20Z: a ticket20",
		} {
			e := Event{Kind: kind, UserID: id, Detail: detail}
			if p.apply(&e); e.Detail != detail {
				t.Errorf("%q: %s", id, e.Detail)
			}
		}
	}
	e := Event{Kind: Decision, UserID: "ada", Subject: "ada", Detail: `sub "ada" is not for the domain "conference.example.com" (it would be for "conference.ada")`}
	if p.apply(&e); strings.Contains(e.Detail, "ada") || strings.Count(e.Detail, e.UserID) != 2 {
		t.Error(e.Detail)
	}
	e = Event{Kind: Lift, UserID: "20", Detail: "user: 20 and (20) have left, as 20 said."}
	if p.apply(&e); strings.Count(e.Detail, e.UserID) != 3 {
		t.Error(e.Detail)
	}
}

func TestPseudonyms_ReplaceWhoItIsAndNothingElse(t *testing.T) {
	p := NewPseudonyms([]byte("of this test"))
	e := Event{UserID: "ada", UserName: "Ada", UserEmail: "ada@example.com", Subject: "meet.example.com", RemoteIP: "198.51.100.7", Tenant: "acme"}
	p.apply(&e)
	want := Event{UserID: p.User("ada"), Subject: "meet.example.com", RemoteIP: p.Address("198.51.100.7"), Tenant: "acme"}
	if e != want || e.UserID == "ada" || e.RemoteIP == "198.51.100.7" {
		t.Errorf("got %+v, want %+v", e, want)
	}
	if p.apply(&e); e != want { // as where a spill is read again
		t.Errorf("once more it is %+v", e)
	}
}
