package prosodyconf

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/usher-im/usher/internal/config"
)

var update = flag.Bool("update", false, "write anew what the tests compare with")

// Each case is a Prosody config with its files, and what the import makes of it. Two files have a meaning of their own:
// env (NAME=value) and mode (the word "inline"). The names of results begin with "want ".
func TestImport(t *testing.T) {
	cases, err := filepath.Glob("testdata/import/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatal("no cases", err)
	}
	for _, file := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { runImport(t, file) })
	}
}

func runImport(t *testing.T, file string) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	var given []txtar.File
	wanted := map[string]string{}
	options := Options{}
	for _, f := range archive.Files {
		text := string(f.Data)
		if name, isResult := strings.CutPrefix(f.Name, "want "); isResult {
			wanted[name] = text
			continue
		}
		given = append(given, f)
		switch f.Name {
		case "env":
			options.LookupEnv = environment(strings.FieldsFunc(text, func(r rune) bool { return r == '=' || r == '\n' })...)
		case "mode":
			options.InlineSecrets = strings.TrimSpace(text) == "inline"
		default:
			put(t, folder, f.Name, strings.ReplaceAll(text, "$DIR", folder))
		}
	}
	got := importInto(t, folder, options)
	if *update {
		archive.Files = given
		for _, name := range []string{"error", "usher.yaml", "secrets", "prosody", "notes"} {
			if got[name] != "" {
				archive.Files = append(archive.Files, txtar.File{Name: "want " + name, Data: []byte(got[name])})
			}
		}
		if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for name, want := range wanted {
		if got[name] != want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got[name], want)
		}
		delete(got, name)
	}
	for name, text := range got {
		if text != "" {
			t.Errorf("unexpected %s:\n%s", name, text)
		}
	}
}

func put(t *testing.T, folder, name, text string) {
	t.Helper()
	path := filepath.Join(folder, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// importInto imports the folder's prosody.cfg.lua and lets usher itself judge the result.
func importInto(t *testing.T, folder string, options Options) map[string]string {
	t.Helper()
	here := func(s string) string { return strings.ReplaceAll(s, folder, "$DIR") }
	result, err := Import(filepath.Join(folder, "prosody.cfg.lua"), options)
	if err != nil {
		return map[string]string{"error": here(err.Error()) + "\n"}
	}
	got := map[string]string{"usher.yaml": here(result.YAML), "prosody": here(result.Prosody)}
	for _, note := range result.Notes {
		got["notes"] += here(note) + "\n"
	}
	for _, secret := range result.Secrets {
		got["secrets"] += secret.Name + ": " + string(secret.Content) + "\n"
		put(t, folder, secret.Name, string(secret.Content))
		if !options.InlineSecrets && strings.Contains(result.YAML+result.Prosody+got["notes"], strings.TrimSpace(string(secret.Content))) {
			t.Error("a secret stands outside its file")
		}
	}
	var env []string
	if options.LookupEnv != nil {
		if secret, ok := options.LookupEnv("APP_SECRET"); ok {
			env = append(env, "APP_SECRET="+secret)
		}
	}
	if _, _, err := config.Parse(filepath.Join(folder, "usher.yaml"), []byte(result.YAML), env); err != nil {
		t.Errorf("usher does not take the imported config:\n%s\n%s", err, result.YAML)
	}
	if _, err := Evaluate(write(t, "changes.cfg.lua", result.Prosody), nil); err != nil {
		t.Errorf("Prosody would not take the changed lines: %s\n%s", err, result.Prosody)
	}
	return got
}

// What an attacker could write into an option must not become config.
func TestImport_TextFromOptionsStaysText(t *testing.T) {
	folder := t.TempDir()
	put(t, folder, "prosody.cfg.lua", `
		VirtualHost "h.example.com"
			authentication = "token"
			app_id = "a\"]\n#: {x}\n      - iss: evil\226\128\168"
			app_secret = "0123456789abcdef0123456789abcdef\n"
			asap_accepted_audiences = { "on", "x: y", "- z", "", "*", "&a", "1", "\127\255" }
			muc_mapper_domain_prefix = "conf\"x"
		Component "conference.h.example.com" "muc"
			modules_enabled = { "token_verification", "x\"; evil = {", "muc_resource_validate" }
			anonymous_strict = true
			anonymous_auth_methods = { "token", "y\" }; evil = {" }
	`)
	result, err := Import(filepath.Join(folder, "prosody.cfg.lua"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range result.Secrets {
		put(t, folder, s.Name, string(s.Content))
	}
	cfg, _, err := config.Parse(filepath.Join(folder, "usher.yaml"), []byte(result.YAML), nil)
	if err != nil {
		t.Fatalf("%s\n%s", err, result.YAML)
	}
	p := cfg.Profiles["h.example.com"]
	if len(p.Issuers) != 1 || p.Issuers[0].Iss != "a\"]\n#: {x}\n      - iss: evil\u2028" || p.MUCPrefix != `conf"x` {
		t.Errorf("got %+v", p.Issuers[0])
	}
	if got := strings.Join(p.Issuers[0].Audiences, "|"); got != "on|x: y|- z|*|&a|1|\x7f\ufffd" {
		t.Errorf("audiences: %q", got)
	}
	c, err := Evaluate(write(t, "x.cfg.lua", result.Prosody), nil)
	if err != nil {
		t.Fatalf("%s\n%s", err, result.Prosody)
	}
	muc, _ := c.Host("conference.h.example.com")
	_, applied := muc.Options["usher_apply"]
	if len(muc.Options) != 3 || !applied || !muc.Loads("x\"; evil = {") || strings.Join(muc.Strings("anonymous_auth_methods"), "|") != "token|y\" }; evil = {|usher" {
		t.Errorf("got %+v", muc.Options)
	}
	if _, evil := c.Global["evil"]; evil {
		t.Error("an option got out of its quotes")
	}
}
