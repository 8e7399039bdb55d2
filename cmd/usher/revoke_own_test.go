package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/revocation/intake"
)

// Whoever revokes a key that has leaked must not wait for who publishes keys, who may be away for the same reason.
func TestRevokeOffline_AKeyIsRevokedBeforeKeyServersAreAsked(t *testing.T) {
	dir := t.TempDir()
	var beforehand, asked atomic.Bool
	var look func() (revocation.Page, error)
	keys := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		page, err := look()
		asked.Store(true)
		if err != nil || len(page.Items) != 1 {
			beforehand.Store(true)
		}
	}))
	t.Cleanup(keys.Close)
	file := filepath.Join(dir, "usher.yaml")
	text := fmt.Sprintf("data_dir: %s\nprofiles: {default: {issuers: [{iss: my-app, keys: [{jwks_url: %q}], audiences: [jitsi]}]}}\n", dir, keys.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &commands{Config: file}
	d, err := openOwnDesk(t.Context(), c, streams{out: io.Discard, err: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	store := d.(*ownDesk).store
	look = func() (revocation.Page, error) { return store.List(t.Context(), revocation.Query{}) }
	answers, err := d.revoke(t.Context(), []intake.Request{{Selector: revocation.SelectKey, Value: "leaked"}}, false)
	if err != nil || len(answers) != 1 || !strings.Contains(fmt.Sprint(answers[0].Cautions), "could not be looked up") {
		t.Errorf("%+v, %v", answers, err)
	}
	if !asked.Load() || beforehand.Load() {
		t.Errorf("the key server was asked: %t; before the key was revoked: %t", asked.Load(), beforehand.Load())
	}
}
