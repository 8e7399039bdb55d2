package server_test

import (
	"strings"
	"testing"

	"github.com/usher-im/usher/internal/credential"
)

func TestConsole_IsForAuditorsAndAsksABrowserForItsCredential(t *testing.T) {
	n := start(t, base)
	page := header("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	browsed := n.do("GET", n.server.AdminAddress(), "/", "", page)
	read := n.as(credential.Audit, "GET", "/", "")
	for name, r := range map[string]reply{"a browser without a credential": browsed, "an auditor": read} {
		if !strings.HasPrefix(r.raw, "<!doctype html>") || !strings.HasPrefix(r.header.Get("Content-Type"), "text/html") {
			t.Errorf("%s gets %d %s %.80s", name, r.status, r.header.Get("Content-Type"), r.raw)
		}
		for _, said := range []string{"default-src 'none'", "frame-ancestors 'none'", "connect-src 'self'", "require-trusted-types-for 'script'"} {
			if !strings.Contains(r.header.Get("Content-Security-Policy"), said) {
				t.Errorf("%s: the policy lacks %s", name, said)
			}
		}
	}
	if browsed.status != 401 || browsed.header.Get("WWW-Authenticate") == "" || read.status != 200 {
		t.Errorf("a browser without a credential gets %d, an auditor %d", browsed.status, read.status)
	}
	if role := read.header.Get("Usher-Role"); role != "audit" || browsed.header.Get("Usher-Role") != "" {
		t.Errorf("an auditor is told to have the role %q", role)
	}
	if r := n.do("GET", n.server.AdminAddress(), "/", "", header("Accept", "*/*")); r.status != 401 || r.body["type"] != "urn:usher:problem:credential-missing" {
		t.Errorf("a program without a credential: %+v", r)
	}
	if r := n.do("GET", n.server.AdminAddress(), "/", "", page, header("Authorization", "Bearer usher_wrong")); r.status != 401 || r.body["type"] != "urn:usher:problem:credential-wrong" {
		t.Errorf("a wrong credential: %+v", r)
	}
	if r := n.as(credential.Verify, "GET", "/", "", page); r.status != 403 || r.body["type"] != "urn:usher:problem:role-missing" {
		t.Errorf("another role: %+v", r)
	}
	if r := n.do("GET", n.server.VerifyAddress(), "/", "", page); r.status != 404 {
		t.Errorf("the verify listener has it: %+v", r)
	}
	if r := n.do("GET", n.server.AdminAddress(), "/", "", page, header("Host", "evil.example.com")); r.status != 403 {
		t.Errorf("by a name that is not ours: %+v", r)
	}
}
