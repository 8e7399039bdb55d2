package reason_test

import (
	"strings"
	"testing"

	"github.com/usher-im/usher/internal/reason"
)

func TestCheck_EveryReasonComesFromOne(t *testing.T) {
	for _, i := range reason.All() {
		if i.Code.Check() == "" {
			t.Errorf("%s names no check", i.Code)
		}
	}
}

// Jitsi's client shows the text of a refused login as it is on the wire.
func TestMessages_HaveNothingInThemThatXMLEscapes(t *testing.T) {
	for _, i := range reason.All() {
		if strings.ContainsAny(i.Message, `'"<>&`) {
			t.Errorf("%s says %q", i.Code, i.Message)
		}
	}
}
