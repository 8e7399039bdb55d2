package reason_test

import (
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
