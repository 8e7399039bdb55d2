// Package browser drives a real, headless Chromium for tests, through chromedriver and the W3C WebDriver protocol. Both are
// Debian's packages chromium and chromium-driver.
package browser

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"time"

	"github.com/usher-im/usher/internal/e2e/proc"
)

// Browser is one window with a profile of its own.
type Browser struct {
	driver  *proc.Process
	session string // URL of the WebDriver session
}

// Start opens a browser whose profile lies in dir, which the caller removes.
func Start(ctx context.Context, dir string) (*Browser, error) {
	ports, err := proc.FreePorts(1)
	if err != nil {
		return nil, err
	}
	driver, err := proc.Start("chromedriver", exec.Command("chromedriver", fmt.Sprintf("--port=%d", ports[0])))
	if err != nil {
		return nil, err
	}
	b := &Browser{driver: driver}
	if _, err := driver.WaitLine(ctx, "started successfully"); err != nil {
		_ = b.Stop()
		return nil, err
	}
	b.session = fmt.Sprintf("http://127.0.0.1:%d/session", ports[0])
	var opened struct{ SessionID string }
	// Chromium's own sandbox cannot be had as root, nor where users may not make namespaces; only our page is loaded.
	options := map[string]any{"args": []string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-quic", "--user-data-dir=" + dir, "--window-size=1280,900",
	}}
	if err := b.ask(ctx, http.MethodPost, "", map[string]any{"capabilities": map[string]any{"alwaysMatch": map[string]any{
		"goog:chromeOptions": options, "goog:loggingPrefs": map[string]string{"browser": "ALL"},
	}}}, &opened); err != nil {
		_ = b.Stop()
		return nil, err
	}
	b.session += "/" + opened.SessionID
	return b, nil
}

// Stop closes the window and ends the driver.
func (b *Browser) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if strings.Contains(b.session, "/session/") {
		_ = b.ask(ctx, http.MethodDelete, "", nil, nil)
	}
	return b.driver.Stop(5 * time.Second)
}

// Open loads an address.
func (b *Browser) Open(ctx context.Context, url string) error {
	return b.ask(ctx, http.MethodPost, "/url", map[string]any{"url": url}, nil)
}

// Click waits for an element that can be clicked, named by an XPath, and does so.
func (b *Browser) Click(ctx context.Context, xpath string) error {
	return b.try(ctx, xpath, func(element string) error {
		return b.ask(ctx, http.MethodPost, element+"/click", map[string]any{}, nil)
	})
}

// Type waits for a control and types into it what takes the place of what was there. A line end is the return key.
func (b *Browser) Type(ctx context.Context, xpath, text string) error {
	return b.try(ctx, xpath, func(element string) error {
		if err := b.ask(ctx, http.MethodPost, element+"/clear", map[string]any{}, nil); err != nil {
			return err
		}
		return b.ask(ctx, http.MethodPost, element+"/value", map[string]any{"text": strings.ReplaceAll(text, "\n", "\uE007")}, nil)
	})
}

// Text is what a person reads on the page.
func (b *Browser) Text(ctx context.Context) (text string, err error) {
	err = b.Run(ctx, "return document.body.innerText", &text)
	return text, err
}

// Run runs a script in the page and decodes what it returns into result.
func (b *Browser) Run(ctx context.Context, script string, result any) error {
	return b.ask(ctx, http.MethodPost, "/execute/sync", map[string]any{"script": script, "args": []any{}}, result)
}

// Complaints are what the browser has said of the page since it was asked last: errors of its script, and what its policy
// forbade. That a request was answered with an error is none of
// them, nor is advice.
func (b *Browser) Complaints(ctx context.Context) (all []string, err error) {
	var entries []struct{ Level, Source, Message string }
	if err := b.ask(ctx, http.MethodPost, "/se/log", map[string]any{"type": "browser"}, &entries); err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Source != "network" && e.Level != "DEBUG" {
			all = append(all, e.Level+": "+e.Message)
		}
	}
	return all, nil
}

// Screenshot is what the window shows, as PNG.
func (b *Browser) Screenshot(ctx context.Context) ([]byte, error) {
	var text string
	if err := b.ask(ctx, http.MethodGet, "/screenshot", nil, &text); err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(text)
}

// try does something to an element as soon as it is there and lets it be done.
func (b *Browser) try(ctx context.Context, xpath string, do func(element string) error) error {
	for {
		var found map[string]string
		err := b.ask(ctx, http.MethodPost, "/element", map[string]any{"using": "xpath", "value": xpath}, &found)
		if err == nil {
			for _, id := range found {
				err = do("/element/" + id)
			}
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", xpath, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// ask is one WebDriver command (W3C WebDriver, section 6).
func (b *Browser) ask(ctx context.Context, method, path string, body, result any) error {
	text := []byte(nil)
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, b.session+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer := struct{ Value json.RawMessage }{}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		var said struct{ Error, Message string }
		_ = json.Unmarshal(answer.Value, &said)
		return fmt.Errorf("the browser: %s: %s", said.Error, said.Message)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(answer.Value, result)
}
