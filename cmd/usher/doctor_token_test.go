package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/redisconn"
)

// What the doctor signs with must be what serve checks with, however the file ends.
func TestDoctor_ReadsASecretFileAsServeDoes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "app.secret")
	for content, want := range map[string]string{
		"a secret": "a secret", "a secret\n": "a secret", "a secret\r\n": "a secret", "a secret\n\n": "a secret\n", "a secret\r": "a secret\r",
		"": "", "\n": "",
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, ok := secretHere(config.KeySource{SecretFile: file}); got != want || ok != (want != "") {
			t.Errorf("%q: got %q, %t", content, got, ok)
		}
	}
	if _, ok := secretHere(config.KeySource{SecretFile: file + ".gone"}); ok {
		t.Error("a file that is not there was read")
	}
}

// A probe that runs out before it is asked about, or lives too long, would find fault with a good config.
func TestDoctor_ProbeLivesAsLongAsTheIssuerAllows(t *testing.T) {
	for _, unit := range []struct {
		timestamps string
		of         func(time.Time) int64
	}{{"seconds", time.Time.Unix}, {"milliseconds", time.Time.UnixMilli}} {
		for _, most := range []time.Duration{0, 30 * time.Second, time.Hour} {
			iss := &config.Issuer{Iss: "a", Audiences: []string{"b"}, Time: config.Time{Timestamps: unit.timestamps, MaxLifetime: most}}
			claims, now := claimsFor(iss, "meet.example.com"), time.Now()
			issued, ends := claims["iat"].(int64), claims["exp"].(int64)
			want := time.Minute
			if most == 30*time.Second {
				want = most
			}
			if span := unit.of(now.Add(want)) - unit.of(now); issued > unit.of(now) || issued < unit.of(now.Add(-time.Minute)) || ends-issued < span-1 || ends-issued > span+1 {
				t.Errorf("%s, at most %s: from %d to %d at %s", unit.timestamps, most, issued, ends, now)
			}
		}
	}
}

// To turn on what is on helps nobody whose disk is full.
func TestDoctor_TellsALogThatCannotBeWrittenFromNone(t *testing.T) {
	for info, says := range map[string]string{
		"aof_enabled:0": "set appendonly yes", "aof_enabled:1\r\naof_last_write_status:err\r\n": "make room on the disk", "aof_enabled:1\r\naof_last_write_status:ok": "",
	} {
		d := doctor{c: new(commands)}
		d.writes(redisconn.ParseInfo(info))
		if remedies := fmt.Sprint(d.findings); says == "" && len(d.findings) > 0 || !strings.Contains(remedies, says) {
			t.Errorf("%q: %s", info, remedies)
		}
	}
}

// A listener that takes a connection and is silent must not hold up what is still to be looked at.
func TestDoctor_WaitsForNoListenerLongerThanForTheOthers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	secret := filepath.Join(dir, "local.credential")
	if err := os.WriteFile(secret, []byte("usher_secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := doctor{c: &commands{Config: filepath.Join(dir, "usher.yaml")}, cmd: &doctorCmd{node: node{Server: "http://" + silent(t).String()}}}
	text := fmt.Sprintf("data_dir: %s\nprofiles: {default: {issuers: [{iss: a, keys: [{jwks_url: 'http://127.0.0.1:1/'}], audiences: [b]}]}}\n", dir)
	if err := os.WriteFile(d.c.Config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	d.admin(t.Context())
	if took := time.Since(begun); took > answerTimeout/2 || len(d.findings) != 1 || !strings.Contains(d.findings[0].Detail, "does not answer") {
		t.Errorf("after %s: %+v", took, d.findings)
	}
}

// healthcheck runs where memory is short, and whoever has the port may answer without end.
func TestReady_IsNotReadWithoutEnd(t *testing.T) {
	sent := make(chan int, 1)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n, _ := io.WriteString(w, `{"contract":"`)
		for part := bytes.Repeat([]byte("a"), 64<<10); n < 64<<20; {
			more, err := w.Write(part)
			if n += more; err != nil {
				break
			}
		}
		sent <- n
	}))
	defer other.Close()
	if _, _, err := askReady(t.Context(), other.URL); err == nil || !strings.Contains(err.Error(), "no usher") {
		t.Errorf("it is taken for ready: %v", err)
	}
	if n := <-sent; n >= 64<<20 {
		t.Errorf("%d bytes of it were read", n)
	}
}
