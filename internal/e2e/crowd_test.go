package e2e_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

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
				watchTheClock(t, s)
				served := keepPinging(t, other)
				var allowed, told, wrong tally
				for _, v := range crowd {
					wg.Go(func() {
						err := v.Authenticate(e2e.Context(t))
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
				pings := served()
				if wrong.n > 0 || allowed.n+told.n != logins || frozen && allowed.n > 0 {
					t.Errorf("%d allowed, %d told to wait, %d otherwise (%s)", allowed.n, told.n, wrong.n, wrong.last)
				}
				mustBeInTime(t, s, logins)
				t.Logf("%d allowed, %d told to wait, %d pings meanwhile", allowed.n, told.n, pings)
				s.Gate.Release()
				s.Login(t, e2e.Who{Token: e2e.Token(t, nil)}).MustJoin("daily", "after")
			})
		}
	})
}

// keepPinging pings one after the other until it is told to stop, and then says how many were answered.
func keepPinging(t *testing.T, v *e2e.Visitor) (stop func() (answered int)) {
	n := 0
	enough, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			if _, err := v.Ping(e2e.Context(t)); err != nil {
				t.Errorf("a ping meanwhile: %v", err)
				return
			}
			n++
			select {
			case <-enough:
				return
			default:
			}
		}
	}()
	return func() int {
		close(enough)
		<-ended
		return n
	}
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
