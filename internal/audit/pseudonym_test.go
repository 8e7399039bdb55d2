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
		e := Event{UserID: id, Subject: id, Detail: "sub " + written + " is not among the issuer's subjects [a]"}
		p.apply(&e)
		if want := `sub "` + p.User(id) + `" is not among the issuer's subjects [a]`; e.Detail != want {
			t.Errorf("%q: %s", id, e.Detail)
		}
	}
}
