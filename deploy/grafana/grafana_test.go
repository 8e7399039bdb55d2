// Package grafana holds no code: its test sees that the dashboard and the alerts ask for what usher tells.
package grafana

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/usher-im/usher/internal/e2e/verifier"
)

// asked is an expression and where it stands.
type asked struct{ where, expr string }

func dashboard(t *testing.T) (all []asked) {
	t.Helper()
	text, err := os.ReadFile("usher.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct {
			ID      int    `json:"id"`
			Title   string `json:"title"`
			Type    string `json:"type"`
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
		Templating struct {
			List []struct {
				Query any `json:"query"`
			} `json:"list"`
		} `json:"templating"`
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	ids := map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("two panels have the id %d", p.ID)
		}
		ids[p.ID] = true
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %s shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			all = append(all, asked{"panel " + p.Title, target.Expr})
		}
	}
	for _, v := range d.Templating.List {
		if q, ok := v.Query.(map[string]any); ok {
			all = append(all, asked{"a variable", q["query"].(string)})
		}
	}
	return all
}

var reasons = regexp.MustCompile(`reason=~?"([a-z_|]+)"`)

func alerts(t *testing.T) (all []asked) {
	t.Helper()
	text, err := os.ReadFile("usher.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		Groups []struct {
			Rules []struct {
				Alert       string            `yaml:"alert"`
				Expr        string            `yaml:"expr"`
				For         string            `yaml:"for"`
				Labels      map[string]string `yaml:"labels"`
				Annotations map[string]string `yaml:"annotations"`
			} `yaml:"rules"`
		} `yaml:"groups"`
	}
	if err := yaml.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	for _, g := range r.Groups {
		for _, rule := range g.Rules {
			if rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" || !slices.Contains([]string{"page", "ticket", "info"}, rule.Labels["severity"]) {
				t.Errorf("%s does not say what is wrong, what to do, and how urgent it is", rule.Alert)
			}
			// Whoever follows the advice finds what the alert is about, whichever of its reasons it was.
			if m := reasons.FindStringSubmatch(rule.Expr); m != nil {
				for code := range strings.SplitSeq(m[1], "|") {
					if !strings.Contains(rule.Annotations["description"], code) {
						t.Errorf("%s counts %s, and its advice does not lead there: %s", rule.Alert, code, rule.Annotations["description"])
					}
				}
			}
			all = append(all, asked{"alert " + rule.Alert, rule.Expr})
		}
	}
	return all
}

// told reads what a running usher tells: metrics by name, with their labels.
func told(t *testing.T) map[string][]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	binary, err := verifier.Build(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	secret := strings.Repeat("of this test alone ", 3)
	v, err := verifier.Start(ctx, verifier.Options{Binary: binary, Dir: t.TempDir(), Config: `
profiles:
  default: {domain: meet.example.com, issuers: [{iss: app, keys: [{secret: "` + secret + `"}], audiences: [jitsi]}]}
`})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Stop() })
	// A metric with labels is told once there is something to tell.
	post(t, v.URL+"/v1/verify", `{"id":"0123456789abcdef0123456789abcdef","stage":"connect","host":"meet.example.com","session":"s","remote_ip":"192.0.2.1","token":"`+forged+`"}`)
	post(t, v.URL+"/v1/report", `{"decision_id":"01ARZ3NDEKTSV4RRFFQ69G5FAV","session":"s","outcome":"gone"}`)
	credential, err := os.ReadFile(v.CredentialFile)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.AdminURL+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(credential)))
	return parse(t, answer(t, req))
}

// forged names an issuer of the config and is signed by nobody: {"alg":"HS256"}.{"iss":"app"}.
const forged = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJhcHAifQ.AAAA"

func post(t *testing.T, url, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	answer(t, req)
}

func answer(t *testing.T, req *http.Request) string {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		t.Fatalf("%s: %s %s %v", req.URL.Path, resp.Status, b, err)
	}
	return string(b)
}

var (
	sample    = regexp.MustCompile(`^([a-z_]+)(?:\{(.*)\})? `)
	labelName = regexp.MustCompile(`([a-z_]+)=~?"`)
	metric    = regexp.MustCompile(`\b((?:usher|process|go)_[a-z_]+)(\{[^}]*\})?`)
	grouping  = regexp.MustCompile(`by \(([^)]*)\)`)
)

func parse(t *testing.T, text string) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for line := range strings.SplitSeq(text, "\n") {
		m := sample.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		labels := all[m[1]]
		for _, l := range labelName.FindAllStringSubmatch(m[2], -1) {
			labels = append(labels, l[1])
		}
		all[m[1]] = labels
	}
	return all
}

func TestDashboardAndAlerts_AskForWhatIsTold(t *testing.T) {
	there := told(t)
	all := append(dashboard(t), alerts(t)...)
	if len(all) < 30 {
		t.Fatalf("%d expressions: the test has not found them", len(all))
	}
	ofScrape := []string{"instance", "job", "le"} // Prometheus' own
	for _, a := range all {
		var labels []string
		for _, m := range metric.FindAllStringSubmatch(a.expr, -1) {
			told, ok := there[m[1]]
			if !ok {
				t.Errorf("%s asks for %s, which usher does not tell", a.where, m[1])
			}
			labels = append(labels, told...)
			for _, l := range labelName.FindAllStringSubmatch(m[2], -1) {
				if !slices.Contains(told, l[1]) && !slices.Contains(ofScrape, l[1]) {
					t.Errorf("%s: %s has no label %s", a.where, m[1], l[1])
				}
			}
		}
		for _, g := range grouping.FindAllStringSubmatch(a.expr, -1) {
			for l := range strings.SplitSeq(g[1], ",") {
				if l = strings.TrimSpace(l); !slices.Contains(labels, l) && !slices.Contains(ofScrape, l) {
					t.Errorf("%s groups by %s, which nothing in it has", a.where, l)
				}
			}
		}
		if strings.Count(a.expr, "(") != strings.Count(a.expr, ")") {
			t.Errorf("%s: %s", a.where, a.expr)
		}
	}
}

// A recheck is usher's own question about who is inside: each revocation asks it, and nobody has shown anything by then.
func TestAlerts_ARevocationIsNoUseOfARevokedToken(t *testing.T) {
	stages := regexp.MustCompile(`stage=~"([a-z|]+)"`)
	for _, a := range alerts(t) {
		if !strings.Contains(a.expr, "token_revoked") {
			continue
		}
		if m := stages.FindStringSubmatch(a.expr); m == nil || slices.Contains(strings.Split(m[1], "|"), "recheck") {
			t.Errorf("%s counts rechecks: %s", a.where, a.expr)
		}
	}
}

// A node that never reached its store tells 0 of all that the store does for it: a Redis that is down would be told to turn on
// its log.
func TestAlerts_JudgeAStoreOnceItHasAnswered(t *testing.T) {
	judged := 0
	for _, a := range alerts(t) {
		if !strings.Contains(a.expr, "usher_revocation_store_durable") {
			continue
		}
		judged++
		if !strings.Contains(a.expr, ") and usher_revocation_index_loaded == 1") {
			t.Errorf("%s fires for a store that has not answered yet: %s", a.where, a.expr)
		}
	}
	if judged == 0 {
		t.Error("no alert asks whether the store keeps what it took")
	}
}
