package server_test

import (
	"fmt"
	"strings"
	"testing"
)

func TestRoute_AnotherMethodIsToldApartFromAnotherPath(t *testing.T) {
	n := start(t, base)
	verify, admin := n.server.VerifyAddress(), n.server.AdminAddress()
	for _, c := range []struct {
		method, address, path, kind, allow string
		status                             int
	}{
		{"GET", verify, "/v1/verify", "method-not-allowed", "POST", 405},
		{"POST", admin, "/metrics", "method-not-allowed", "GET", 405},
		{"PUT", admin, "/v1/revocations/1", "method-not-allowed", "GET, DELETE", 405},
		{"FOO", verify, "/v1/verify", "method-not-allowed", "POST", 405},
		{"FOO", admin, "/v1/revocations", "method-not-allowed", "GET, POST", 405},
		{"FOO", admin, "/nowhere", "not-found", "", 404},
		{"GET", verify, "/metrics", "not-found", "", 404},
		{"GET", admin, "/v1/verify", "not-found", "", 404},
	} {
		r := n.do(c.method, c.address, c.path, "")
		if r.status != c.status || r.body["type"] != "urn:usher:problem:"+c.kind || r.header.Get("Allow") != c.allow {
			t.Errorf("%s %s: %d, Allow %q, %s", c.method, c.path, r.status, r.header.Get("Allow"), r.raw)
		}
	}
}

func TestRoute_AHeaderThatIsTooLongIsToldWhatToDo(t *testing.T) {
	n := start(t, base)
	long := strings.Repeat("x", 5000)
	for name, r := range map[string]reply{
		"in the URL":  n.do("GET", n.server.AdminAddress(), "/v1/revocations?value="+long, ""),
		"in a header": n.do("GET", n.server.AdminAddress(), "/v1/revocations", "", header("X-Long", long)),
	} {
		if r.status != 431 || !strings.Contains(fmt.Sprint(r.body["detail"]), "more than 4096 bytes together: send less") {
			t.Errorf("%s: %+v", name, r)
		}
	}
}
