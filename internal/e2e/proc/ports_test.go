package proc_test

import (
	"net"
	"os/exec"
	"sync"
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

// Each process that starts has for a moment all the sockets of the one that starts it.
func TestRelease_FreesTheAddressWhateverIsStartedMeanwhile(t *testing.T) {
	ports, err := proc.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	var starting sync.WaitGroup
	defer starting.Wait()
	done := make(chan struct{})
	defer close(done)
	for range 4 {
		starting.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					_ = exec.Command("true").Run()
				}
			}
		})
	}
	for range 200 {
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: ports[0]})
		if err != nil {
			t.Fatal(err)
		}
		proc.Release(l)
	}
}
