package proc_test

import (
	"testing"

	"github.com/usher-im/usher/internal/e2e/proc"
)

func TestFreePorts_GivesNoPortTwice(t *testing.T) {
	given := map[int]bool{}
	for range 80 {
		ports, err := proc.FreePorts(5)
		if err != nil {
			t.Fatal(err)
		}
		for _, port := range ports {
			if given[port] {
				t.Fatalf("port %d was given twice", port)
			}
			given[port] = true
		}
	}
}
