// Package console is the web page for security teams and auditors: one document with its script and style inside, made
// once. The page knows nothing by itself: it asks the admin API with the credential that its reader shows.
//
// What is shown and how lies in page/: a view is a file of its own, dom.js and api.js are what the views share.
package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/usher-im/usher/internal/reason"
)

//go:embed page
var files embed.FS

// scripts are put together in this order, as one script.
var scripts = []string{"dom.js", "api.js", "audit.js", "counts.js", "event.js", "revocations.js", "explain.js", "keys.js", "main.js"}

// Page is the document, and the Content-Security-Policy that it must be served with (W3C CSP3): nothing runs in it but its
// own script, it loads nothing, talks to its own origin alone, and is nobody's frame.
type Page struct {
	HTML   []byte
	Policy string
}

// New puts the page together. An error is a fault in its files.
func New() (Page, error) {
	html, err := files.ReadFile("page/page.html")
	if err != nil {
		return Page{}, err
	}
	style, err := files.ReadFile("page/page.css")
	if err != nil {
		return Page{}, err
	}
	script := []byte(`"use strict";` + "\n")
	for _, name := range scripts {
		text, err := files.ReadFile("page/" + name)
		if err != nil {
			return Page{}, err
		}
		script = append(script, text...)
	}
	reasons, err := reasonsJSON()
	if err != nil {
		return Page{}, err
	}
	for mark, text := range map[string][]byte{"{{style}}": style, "{{script}}": script, "{{reasons}}": reasons} {
		if bytes.Count(html, []byte(mark)) != 1 {
			return Page{}, fmt.Errorf("page.html has no %s, or several", mark)
		}
		html = bytes.Replace(html, []byte(mark), text, 1)
	}
	return Page{HTML: html, Policy: "default-src 'none'; connect-src 'self'; img-src data:; style-src " + hash(style) +
		"; script-src " + hash(script) + "; require-trusted-types-for 'script'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}, nil
}

// hash names a text for a policy.
func hash(text []byte) string {
	sum := sha256.Sum256(text)
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// reasonsJSON is the closed list of reasons, by code. encoding/json escapes what could end the element that it stands in.
func reasonsJSON() ([]byte, error) {
	type told struct {
		Message string `json:"message"`
		Remedy  string `json:"remedy"`
		Check   string `json:"check"`
		// Unavailable: no verdict could be had, which is no refusal.
		Unavailable bool `json:"unavailable"`
	}
	list := map[reason.Code]told{}
	for _, i := range reason.All() {
		list[i.Code] = told{i.Message, i.Remedy, i.Code.Check(), i.Unavailable}
	}
	return json.Marshal(list)
}
