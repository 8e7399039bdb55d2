package config

import (
	"fmt"
	"strings"
)

// upstream names what Jitsi's own option is called here, for those who write it out of habit.
var upstream = map[string]string{
	"app_id":                     "iss, in an entry of profiles.*.issuers",
	"app_secret":                 "secret_file, in an entry of an issuer's keys",
	"asap_key_server":            "asap_url, in an entry of an issuer's keys",
	"cache_keys_url":             "jwks_url or certs_url, in an entry of an issuer's keys",
	"asap_accepted_issuers":      "iss, one entry of profiles.*.issuers each",
	"asap_accepted_audiences":    "audiences, in an entry of profiles.*.issuers",
	"asap_require_room_claim":    "profiles.*.rooms.require_claim",
	"signature_algorithm":        "algorithms, in an entry of profiles.*.issuers",
	"allow_empty_token":          "profiles.*.guests",
	"enable_domain_verification": "profiles.*.rooms.verify_domain",
	"muc_mapper_domain_base":     "profiles.*.domain",
	"muc_mapper_domain_prefix":   "profiles.*.muc_prefix",
}

// unknown says that there is no such key, and which was probably meant: one of this section's, one of another
// section's that was put in the wrong place, or Jitsi's name for something.
func (r *report) unknown(at place, section, key string, known []field) {
	where := ""
	if section != "" {
		where = " in " + section
	}
	path := join(section, key)
	if near, ok := nearest(key, names(known)); ok {
		r.faultAt(at, path, "there is no key %q%s; the nearest is %q: write that, or remove the line", key, where, near)
		return
	}
	if ours, ok := upstream[key]; ok {
		r.faultAt(at, path, "there is no key %q%s; Jitsi's option of that name is here %s", key, where, ours)
		return
	}
	if elsewhere := homes(key); len(elsewhere) > 0 {
		r.faultAt(at, path, "there is no key %q%s; it belongs at %s: move it there", key, where, alternatives(elsewhere))
		return
	}
	r.faultAt(at, path, "there is no key %q%s; known here: %s", key, where, strings.Join(names(known), ", "))
}

// unknownVariable says which environment variable was probably meant.
func (r *report) unknownVariable(name string, known []string) {
	hint := "remove it"
	if near, ok := nearest(name, known); ok {
		hint = fmt.Sprintf("the nearest is %s: set that, or remove it", near)
	}
	r.warnings = append(r.warnings, Warning{Where: name, Text: "usher reads no environment variable of this name; " + hint})
}
