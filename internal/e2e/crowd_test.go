package e2e_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/e2e"
	"github.com/usher-im/usher/internal/e2e/client"
	"github.com/usher-im/usher/internal/e2e/prosody"
)

func TestFailure_AThousandLoginsAtOnceAreEachAnsweredInTime(t *testing.T) {
	const logins = 1000
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		for _, frozen := range []bool{false, true} {
			t.Run(map[bool]string{false: "a slow verifier", true: "a frozen verifier"}[frozen], func(t *testing.T) {
				s := e2e.Start(t, release, e2e.Setup{LogLevel: "info"})
				crowd := make([]*e2e.Visitor, logins)
				var wg sync.WaitGroup
				places := make(chan struct{}, 32)
				for i := range crowd {
					places <- struct{}{}
					wg.Go(func() {
						crowd[i] = s.Connect(t, e2e.Who{Token: e2e.Token(t, e2e.Claims{"jti": fmt.Sprint(i)})})
						<-places
					})
				}
				wg.Wait()
				other := s.Login(t, e2e.Who{Domain: e2e.GuestDomain})

				s.Gate.Hold()
				probe := keepPinging(t, other)
				var allowed, told, wrong tally
				var slowest longest
				for _, v := range crowd {
					wg.Go(func() {
						start := time.Now()
						err := v.Authenticate(e2e.Context(t))
						slowest.see(time.Since(start))
						var refused *client.LoginError
						switch {
						case err == nil:
							allowed.add("")
						case errors.As(err, &refused) && refused.Condition == "temporary-auth-failure":
							told.add("")
						default:
							wrong.add(err.Error())
						}
					})
				}
				mustArrive(t, s, "connect", 20)
				if !frozen {
					s.Gate.Release()
				}
				wg.Wait()
				// What the pings met is Prosody's own delay under a thousand clients on this machine, not the shim's. A login
				// meets it on its way in and on its way out.
				delay := 2 * probe()
				if wrong.n > 0 || allowed.n+told.n != logins || frozen && allowed.n > 0 {
					t.Errorf("%d allowed, %d told to wait, %d otherwise (%s)", allowed.n, told.n, wrong.n, wrong.last)
				}
				if slowest.took > usherTimeout+slack+delay {
					t.Errorf("the last was answered after %s, with pings of up to %s", slowest.took, delay/2)
				}
				t.Logf("%d allowed, %d told to wait, the last after %s; pings meanwhile took up to %s",
					allowed.n, told.n, slowest.took, delay/2)
				s.Gate.Release()
				s.Login(t, e2e.Who{Token: e2e.Token(t, nil)}).MustJoin("daily", "after")
			})
		}
	})
}

// keepPinging pings one after the other until it is told to stop, and then says how long the longest took.
func keepPinging(t *testing.T, v *e2e.Visitor) (stop func() time.Duration) {
	var slowest longest
	enough, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			took, err := v.Ping(e2e.Context(t))
			if err != nil {
				t.Errorf("a ping meanwhile: %v", err)
				return
			}
			slowest.see(took)
			select {
			case <-enough:
				return
			default:
			}
		}
	}()
	return func() time.Duration {
		close(enough)
		<-ended
		return slowest.took
	}
}

// longest keeps the longest of what it sees.
type longest struct {
	mu   sync.Mutex
	took time.Duration
}

func (l *longest) see(took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took = max(l.took, took)
}

// tally counts, and keeps the last remark.
type tally struct {
	mu   sync.Mutex
	n    int
	last string
}

func (c *tally) add(remark string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n, c.last = c.n+1, remark
}
