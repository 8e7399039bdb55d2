package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/e2e/proc"
	"github.com/usher-im/usher/internal/e2e/redisserver"
	"github.com/usher-im/usher/internal/reason"
	"github.com/usher-im/usher/internal/token"
	"github.com/usher-im/usher/internal/token/mint"
)

const scanSecret = "the secret of the scan is long enough to be one"

// scene is a node whose every trace is looked through: its folder, its log at its most talkative, its sink, its
// metrics and answers, and everything that Redis was ever told.
type scene struct {
	t       *testing.T
	dir     string
	folders []string
	verify  string
	admin   string
	node    *proc.Process
	local   string
	needles map[string][]byte // what must not be found, by what it is
	traces  map[string][]byte // what was answered, by who answered
}

func openScene(t *testing.T, redis bool) *scene {
	t.Helper()
	ports, err := proc.FreePorts(2)
	must(t, err)
	s := &scene{
		t: t, dir: t.TempDir(), verify: fmt.Sprintf("http://127.0.0.1:%d", ports[0]), admin: fmt.Sprintf("http://127.0.0.1:%d", ports[1]),
		needles: map[string][]byte{}, traces: map[string][]byte{},
	}
	s.folders = []string{filepath.Join(s.dir, "data"), filepath.Join(s.dir, "sink")}
	must(t, os.Mkdir(s.folders[1], 0o700))
	must(t, os.WriteFile(filepath.Join(s.dir, "app.secret"), []byte(scanSecret), 0o600))
	config := fmt.Sprintf(`
listen: 127.0.0.1:%d
admin: {listen: "127.0.0.1:%d"}
data_dir: data
log: {level: debug, format: text}
audit: {names: true, sink: jsonl, sink_path: sink/events.jsonl}
profiles:
  default:
    issuers:
      - iss: my-app
        keys: [{secret_file: app.secret, kid: k1}]
        audiences: [jitsi]
        replay: {jti: once, grace: 0s}
`, ports[0], ports[1])
	if redis {
		dir := filepath.Join(s.dir, "redis")
		must(t, os.Mkdir(dir, 0o700))
		server, err := redisserver.Start(t.Context(), dir)
		must(t, err)
		t.Cleanup(func() { must(t, server.Stop()) })
		config += "redis: {url: \"" + server.URL() + "\"}\n"
		s.folders = append(s.folders, dir) // its append-only log is every command as it came
	}
	must(t, os.WriteFile(filepath.Join(s.dir, "usher.yaml"), []byte(config), 0o600))
	s.serve()
	s.hide("the secret", []byte(scanSecret))
	return s
}

func (s *scene) serve() {
	s.t.Helper()
	cmd := exec.Command("usher", "serve") // TestMain has put this test binary there
	cmd.Dir = s.dir
	var err error
	s.node, err = proc.Start("usher serve", cmd)
	must(s.t, err)
	s.t.Cleanup(s.node.Kill)
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	_, err = s.node.WaitLine(ctx, "usher is up")
	must(s.t, err)
	b, err := os.ReadFile(filepath.Join(s.dir, "data", "local.credential"))
	must(s.t, err)
	s.local = strings.TrimSpace(string(b))
}

// hide adds what must not be found, in the ways in which it might be written.
func (s *scene) hide(name string, b []byte) {
	if len(b) < 12 {
		return // too short to be told from chance
	}
	s.needles[name] = b
	s.needles[name+" in base64"] = []byte(base64.RawStdEncoding.EncodeToString(b))
	s.needles[name+" in base64url"] = []byte(base64.RawURLEncoding.EncodeToString(b))
	s.needles[name+" in hex"] = []byte(hex.EncodeToString(b))
}

// token notes a token as something that must not be found, whole or in part, and gives it back.
func (s *scene) token(name, raw string) string {
	for i, part := range strings.Split(raw, ".") {
		s.hide(fmt.Sprintf("part %d of the %s token", i+1, name), []byte(part))
		if decoded, err := base64.RawURLEncoding.DecodeString(part); err == nil {
			s.hide(fmt.Sprintf("part %d of the %s token, decoded", i+1, name), decoded)
		}
	}
	return raw
}

func (s *scene) mint(name string, edits map[string]any) string {
	s.t.Helper()
	claims := map[string]any{
		"iss": "my-app", "aud": "jitsi", "sub": "meet.example.com", "room": "daily", "jti": "jti-of-" + name, "exp": time.Now().Add(time.Hour).Unix(),
		"context": map[string]any{"user": map[string]any{"id": "user-of-" + name, "name": "Ada", "email": "ada@example.com"}},
	}
	key := scanSecret
	for name, value := range edits {
		if name == "key" {
			key = value.(string)
			continue
		}
		claims[name] = value
	}
	raw, err := mint.Token(mint.Spec{Alg: token.HS256, Key: key, Kid: "k1", Claims: claims})
	must(s.t, err)
	return s.token(name, raw)
}

// send keeps the answer as one more trace. What a caller is given of his own is not one: see verdict.
func (s *scene) send(method, address, kind, credential, body string) {
	s.t.Helper()
	_, b := s.exchange(method, address, kind, credential, body)
	s.traces[method+" "+address+" "+fmt.Sprint(len(s.traces))] = b
}

func (s *scene) exchange(method, address, kind, credential, body string) (int, []byte) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, address, strings.NewReader(body))
	must(s.t, err)
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	if credential != "" {
		req.Header.Set("Authorization", "Bearer "+credential)
	}
	resp, err := http.DefaultClient.Do(req)
	must(s.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(s.t, err)
	return resp.StatusCode, b
}

// verdict asks about a token, and once more with the grant where there is one. An allow gives the claims to the shim,
// which needs them: that answer alone is not looked through.
func (s *scene) verdict(name, raw, stage, room string) (why reason.Code) {
	s.t.Helper()
	question := map[string]string{
		"id": "question of " + name, "token": raw, "stage": stage, "host": "meet.example.com", "session": "s-" + name, "remote_ip": "198.51.100.7",
		"user_agent": "scanner", "room": room,
	}
	body, err := json.Marshal(question)
	must(s.t, err)
	_, b := s.exchange("POST", s.verify+"/v1/verify", "application/json", "", string(body))
	var answer struct {
		Allow  bool        `json:"allow"`
		Grant  string      `json:"grant"`
		Reason reason.Code `json:"reason"`
	}
	must(s.t, json.Unmarshal(b, &answer))
	if !answer.Allow {
		s.traces["the deny of "+name] = b
		return answer.Reason
	}
	s.hide("the grant of "+name, []byte(answer.Grant))
	question["id"], question["grant"], question["stage"], question["room"] = "grant of "+name, answer.Grant, "join", "daily@conference.meet.example.com"
	delete(question, "token")
	body, err = json.Marshal(question)
	must(s.t, err)
	s.send("POST", s.verify+"/v1/verify", "application/json", "", string(body))
	return reason.None
}

// traffic is tokens of every fate, and tokens in places where none belongs.
func (s *scene) traffic() {
	good := s.mint("allowed", nil)
	s.verdict("allowed", good, "connect", "")
	s.verdict("replayed", good, "connect", "")
	s.verdict("another room", s.mint("misplaced", nil), "join", "other@conference.meet.example.com")
	s.verdict("expired", s.mint("expired", map[string]any{"exp": 1}), "connect", "")
	s.verdict("forged", s.mint("forged", map[string]any{"key": "another secret that is as long as the first one"}), "connect", "")
	s.verdict("unknown issuer", s.mint("stranger", map[string]any{"iss": "nobody"}), "connect", "")
	s.verdict("misspelt", s.mint("misspelt", map[string]any{"exp": "tomorrow", "room": 7}), "connect", "")
	s.verdict("too large", s.mint("large", map[string]any{"blob": strings.Repeat("blob of a large token ", 1000)}), "connect", "")
	whole := s.mint("cut", nil)
	s.verdict("cut", whole[:len(whole)-9], "connect", "")
	s.verdict("two parts", s.token("two parts", whole[:strings.LastIndex(whole, ".")]), "connect", "")
	s.verdict("no JSON", s.token("no JSON", base64.RawURLEncoding.EncodeToString([]byte("this is no header at all"))+"."+base64.RawURLEncoding.EncodeToString([]byte("and no payload"))+".c2lnbmF0dXJlIG9mIG5vdGhpbmc"), "connect", "")
	s.verdict("unsigned", s.token("unsigned", mint.Unsigned([]byte(`{"alg":"none"}`), []byte(`{"iss":"my-app","aud":"jitsi","note":"nobody signed this"}`))), "connect", "")
	s.verdict("no base64", s.token("no base64", "!!this is not a header!!.!!this is not a payload!!.!!and no signature!!"), "connect", "")

	lost := s.mint("lost", nil)
	s.send("POST", s.verify+"/v1/verify", "application/json", "", `{"id":"x","token":"`+lost) // broken off
	s.send("POST", s.verify+"/v1/verify", "application/json", "", `{"id":"y","token":["`+lost+`"],"stage":"connect","host":"h"}`)
	s.send("POST", s.verify+"/v1/verify", "text/plain", "", lost)
	s.send("GET", s.admin+"/v1/decisions?token="+lost, "", s.local, "")
	s.send("GET", s.admin+"/v1/decisions?fingerprint="+lost, "", s.local, "")
	s.send("GET", s.admin+"/v1/decisions/"+lost, "", s.local, "")
	s.send("GET", s.admin+"/v1/keys", "", lost, "")
	s.send("POST", s.admin+"/v1/explain", "application/json", s.local, `{"token":"`+lost+`","host":"meet.example.com"}`)
	s.send("POST", s.admin+"/oauth/revoke", "application/x-www-form-urlencoded", s.local, url.Values{"token": {lost}}.Encode())
	revoked := s.mint("revoked", nil)
	s.send("POST", s.admin+"/v1/revocations", "application/json", s.local, `{"selector":"token","value":"`+revoked+`","reason":"a scan"}`)
	asked := 0
	s.until("the node follows the revocation", func() bool {
		asked++
		return s.verdict(fmt.Sprint("revoked ", asked), revoked, "connect", "") == reason.TokenRevoked
	})
	s.run(good, "audit", "--token-stdin")
	s.run(good, "revoke", "--token-stdin", "--reason", "a scan")
	s.run(good, "token", "explain", "--online", "--host", "meet.example.com")
	s.run("", "credential", "create", "--role", "verify", "--name", "shim")
}

// until asks again and again for what the node does in its own time.
func (s *scene) until(what string, is func() bool) {
	s.t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("it never came about that %s", what)
		}
	}
}

// run has a command of the CLI as its trace, with a token on stdin. A secret on its stdout is for whoever ran it.
func (s *scene) run(stdin string, args ...string) {
	s.t.Helper()
	cmd := exec.Command("usher", args...)
	cmd.Dir, cmd.Stdin = s.dir, strings.NewReader(stdin)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, _ := cmd.Output() // a deny is no failure here
	if args[0] == "credential" {
		s.hide("a credential", bytes.TrimSpace(out))
		out = nil
	}
	s.traces["usher "+args[0]] = append(out, errs.Bytes()...)
}

// scan looks through all traces, and says how often it saw what has to be there.
func (s *scene) scan(present string) (seen int) {
	s.t.Helper()
	look := func(where string, b []byte) {
		seen += bytes.Count(b, []byte(present))
		for what, needle := range s.needles {
			if bytes.Contains(b, needle) {
				s.t.Errorf("%s holds %s", where, what)
			}
		}
		if filepath.Base(where) != "local.credential" && bytes.Contains(b, []byte(s.local)) {
			s.t.Errorf("%s holds the local credential", where)
		}
	}
	for where, b := range s.traces {
		look(where, b)
	}
	look("the log", []byte(s.node.Log.String()))
	for _, folder := range s.folders {
		must(s.t, filepath.WalkDir(folder, func(path string, e os.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			if os.IsNotExist(err) {
				return nil // of the spill, and no longer needed
			}
			look(path, b)
			return err
		}))
	}
	return seen
}

func TestScan_NoTokenSecretOrSignatureIsLeftAnywhere(t *testing.T) {
	for name, redis := range map[string]bool{"embedded": false, "fleet": true} {
		t.Run(name, func(t *testing.T) {
			s := openScene(t, redis)
			s.traffic()
			// The traffic met what it was made for.
			for _, fate := range []string{
				`"verdict":"allow"`, "token_replayed", "room_mismatch", "token_expired", "signature_invalid", "issuer_not_allowed", "token_malformed",
				"token_too_large", "token_revoked",
			} {
				s.until("a token that met its fate as "+fate+" is in the audit", func() bool {
					_, events := s.exchange("GET", s.admin+"/v1/decisions?limit=1000", "", s.local, "")
					return bytes.Contains(events, []byte(fate))
				})
			}
			for _, path := range []string{"/metrics", "/v1/events?limit=1000", "/v1/decisions/stats?by=user", "/v1/keys", "/v1/revocations?limit=1000"} {
				s.send("GET", s.admin+path, "", s.local, "")
			}
			s.scan("user-of-allowed")
			must(t, s.node.Stop(20*time.Second))
			// What is looked for would be found: the user's id is in the store and in the sink.
			if seen := s.scan("user-of-allowed"); seen < 4 {
				t.Errorf("the user was seen %d times only: the scan does not look where events are", seen)
			}
		})
	}
}
