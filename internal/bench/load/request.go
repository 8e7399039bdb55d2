package load

import (
	"fmt"

	"github.com/usher-im/usher/internal/bench/fixture"
)

// request is the bytes of one request, made before anything is measured. What differs between two uses of it, an id and
// a host, is written in place.
type request struct {
	bytes []byte
	body  []byte // the end of bytes; nil where there is none
	host  int    // where in body the host stands
}

func (j *Job) requests(grants []string) []request {
	all := make([]request, len(j.Tokens))
	for n, raw := range j.Tokens {
		switch {
		case j.Speaks == HAProxy:
			all[n] = request{bytes: fmt.Appendf(nil, "GET / HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n", j.Address, raw)}
		case j.Plan == Joins:
			all[n] = j.question(fixture.Join(grants[n], fixture.Host(0)))
		case j.Plan == Bad && n%10 == 0:
			all[n] = j.question(fixture.Connect(fixture.Forged(raw), fixture.Host(0)))
		default:
			all[n] = j.question(fixture.Connect(raw, fixture.Host(0)))
		}
	}
	return all
}

func (j *Job) question(body []byte) request {
	head := fmt.Appendf(nil, "POST /v1/verify HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", j.Address, len(body))
	whole := append(head, body...)
	return request{bytes: whole, body: whole[len(head):], host: fixture.HostAt(body)}
}

// address writes what makes this use of a request its own.
func (r *request) address(run, n uint64, host int) {
	if r.body != nil {
		fixture.SetID(r.body, run, n)
		fixture.SetHost(r.body, r.host, host)
	}
}

// turn gives the n-th request of a connection: which of them it is, under which host.
func (j *Job) turn(n, tokens int) (which, host int) {
	which = n % tokens
	switch j.Plan {
	case New:
		return which, j.FirstHost + n/tokens
	case Mixed:
		if n%10 == 0 { // each of these under a host that this token was not shown for
			return which, j.FirstHost + n/tokens
		}
	}
	return which, 0
}
