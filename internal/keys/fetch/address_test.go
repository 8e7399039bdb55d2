package fetch

import (
	"strings"
	"testing"
)

func TestAddress_TakesHTTPSFilesAndThisMachine(t *testing.T) {
	for _, raw := range []string{
		"https://keys.example.com/jwks", "file:///etc/usher/keys.json", "file://localhost/etc/keys",
		"http://127.0.0.1:8080/jwks", "http://[::1]/jwks", "http://localhost/jwks", "http://127.9.9.9/",
	} {
		if _, err := Address(raw, false); err != nil {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

func TestAddress_RefusesTheRestAndSaysWhatToDo(t *testing.T) {
	for raw, want := range map[string]string{
		"http://keys.example.com/jwks":              "allow_http: true",
		"http://user:hunter2@keys.example.com/?k=s": "http://keys.example.com/ is",
		"http://localhost.example.com/":             "allow_http: true",
		"http://127.0.0.1.example.com/":             "allow_http: true",
		"http://0.0.0.0/":                           "allow_http: true",
		"ftp://keys.example.com/":                   `"ftp"`,
		"keys.example.com/jwks":                     "https",
		"https:///jwks":                             "names no host",
		"file://etc/usher/keys.json":                "three slashes",
		"file://":                                   "no file",
		"https://user:hunter2@[broken":              "cannot be read",
		"https://keys.example.com/%zz?hunter2":      "cannot be read",
	} {
		_, err := Address(raw, false)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v, want %q", raw, err, want)
		}
	}
	if _, err := Address("http://keys.example.com/jwks", true); err != nil {
		t.Errorf("with allow_http: %v", err)
	}
}

func TestShown_LeavesCredentialsOut(t *testing.T) {
	u, err := Address("https://user:hunter2@keys.example.com/a%2Fb?key=hunter2#x", false)
	if err != nil {
		t.Fatal(err)
	}
	if got := Shown(u); got != "https://keys.example.com/a%2Fb" {
		t.Errorf("got %s", got)
	}
}
