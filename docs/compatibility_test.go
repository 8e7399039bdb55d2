package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/usher-im/usher/internal/config"
)

// upstream are the options and variables that Jitsi's token modules read, those of the modules around them, and what
// docker-jitsi-meet makes them of (its release of August 2026; token_regex_ since September).
var upstream = map[string][]string{
	"token/util": {
		"app_id", "app_secret", "asap_key_server", "cache_keys_url", "signature_algorithm", "allow_empty_token",
		"muc_mapper_domain_prefix", "muc_mapper_domain_base", "muc_mapper_domain", "enable_domain_verification",
		"asap_accepted_issuers", "asap_accepted_audiences", "asap_require_room_claim", "jwt_pubkey_cache_size",
		"asap_ttl_threshold", "asap_ttl", "asap_issuer", "asap_audience", "asap_key_id", "asap_key_path",
		"token_regex_enabled", "token_regex_room_max_length", "token_regex_max_quantifiers",
	},
	"mod_auth_token":         {`authentication = "token"`},
	"mod_token_verification": {"modules_enabled: token_verification", "token_verification_allowlist", "token_verification_require_token_for_moderation", "admins"},
	"mod_token_affiliation":  {"token_affiliation", "token_affiliation_log_level"},
	"mod_jitsi_session":      {"jitsi_session", "region_header_name"},
	"mod_muc_domain_mapper":  {"muc_mapper_log_not_allowed_errors"},
	"jitsi-contrib": {
		"token_security_ondemand", "token_no_wildcard", "token_lobby_bypass", "token_lobby_ondemand",
		"time_restricted", "conference_max_minutes", "token_owner_party", "party_check_timeout",
	},
	"docker-jitsi-meet": {
		"JWT_APP_ID", "JWT_APP_SECRET", "JWT_ACCEPTED_ISSUERS", "JWT_ACCEPTED_AUDIENCES", "JWT_ASAP_KEYSERVER", "JWT_ALLOW_EMPTY",
		"JWT_ENABLE_DOMAIN_VERIFICATION", "JWT_SIGN_TYPE", "JWT_AUTH_TYPE", "JWT_TOKEN_AUTH_MODULE",
		"JWT_ACCEPTED_ALLOWNER_ISSUERS", "ENABLE_GUESTS", "XMPP_DOMAIN", "XMPP_MUC_DOMAIN",
	},
}

var codeSpan = regexp.MustCompile("`([^`]+)`")

func spans(text string) []string {
	var found []string
	for _, match := range codeSpan.FindAllStringSubmatch(text, -1) {
		found = append(found, match[1])
	}
	return found
}

// rows gives the cells of every row of every table in a Markdown file, headings left out.
func rows(t *testing.T, file string) [][]string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var found [][]string
	for line := range strings.Lines(string(content)) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			continue
		}
		if strings.HasPrefix(line, "|---") {
			found = found[:len(found)-1] // the row above is the heading
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		found = append(found, cells)
	}
	return found
}

func TestMigration_EveryOptionOfJitsisModulesHasARow(t *testing.T) {
	var written []string
	for _, row := range rows(t, "../deploy/migrate.md") {
		written = append(written, spans(row[0])...)
	}
	for module, names := range upstream {
		for _, name := range names {
			if n := len(slices.DeleteFunc(slices.Clone(written), func(s string) bool { return s != name })); n != 1 {
				t.Errorf("%s of %s has %d rows in deploy/migrate.md", name, module, n)
			}
		}
	}
}

// What is named as usher's exists: keys in the config, options in the Lua modules.
func TestMigration_WhatAnOptionBecomesExists(t *testing.T) {
	modules := allText(t, "../lua", ".lua")
	example := config.Example()
	for _, row := range rows(t, "../deploy/migrate.md") {
		if len(row) < 2 || row[1] == "—" || strings.Contains(row[1], " ") && len(row) < 3 {
			continue
		}
		for _, name := range spans(row[1]) {
			name = strings.NewReplacer(`authentication = "usher"`, "usher", "modules_enabled: ", "").Replace(name)
			key, _, _ := strings.Cut(name[strings.LastIndex(name, ".")+1:], ":")
			inConfig := regexp.MustCompile(`(?m)^[ #-]*` + regexp.QuoteMeta(key) + `:`).MatchString(example)
			_, err := os.Stat("../lua/mod_" + key + ".lua")
			_, authErr := os.Stat("../lua/mod_auth_" + key + ".lua")
			if !inConfig && err != nil && authErr != nil && !strings.Contains(modules, `"`+key+`"`) {
				t.Errorf("deploy/migrate.md names %q for %s: there is no such key, option or module", name, row[0])
			}
		}
	}
}

func TestCompatibility_EveryRowSaysWhyAndIsShownByATest(t *testing.T) {
	tests := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	exists := map[string]bool{}
	for _, match := range tests.FindAllStringSubmatch(allText(t, "..", "_test.go"), -1) {
		exists[match[1]] = true
	}
	table := rows(t, "compatibility.md")
	if len(table) < 60 {
		t.Errorf("only %d rows were read", len(table))
	}
	for _, row := range table {
		if len(row) != 4 {
			t.Errorf("%q has %d cells, want 4", row[0], len(row))
			continue
		}
		verdict, _, _ := strings.Cut(strings.FieldsFunc(row[2], func(r rune) bool { return r == ',' || r == ';' || r == ':' || r == ' ' })[0], " ")
		if !slices.Contains([]string{"same", "stricter", "better"}, verdict) {
			t.Errorf("%q is %q, want same, stricter or better", row[0], row[2])
		}
		if len(spans(row[3])) == 0 {
			t.Errorf("%q is shown by no test", row[0])
		}
	}
	content, err := os.ReadFile("compatibility.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range spans(string(content)) {
		if strings.HasPrefix(name, "Test") && strings.Contains(name, "_") && !exists[name] {
			t.Errorf("there is no test %s", name)
		}
	}
}

// allText joins the files of a folder whose names end in suffix.
func allText(t *testing.T, folder, suffix string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && entry.Name() != ".." {
			return filepath.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(path, suffix) {
			return nil
		}
		content, err := os.ReadFile(path)
		b.Write(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
