package fetch

import (
	"net/http"
	"strings"
	"time"
)

// Freshness reads how long an answer may be used before it is asked for again (RFC 9111, sections 4.2.1 and 5.2.2):
// max-age less Age; 0 for no-store and no-cache. said is false where no header says anything that can be read. What
// cannot be read is passed over, as RFC 9111 asks: a library that tripped over `Cache-Control: =` ended the process.
// The caller keeps the result within bounds; however wrong it is, it must neither loop nor wait for ever.
func Freshness(h http.Header) (fresh time.Duration, said bool) {
	for _, line := range h.Values("Cache-Control") {
		for directive := range strings.SplitSeq(line, ",") {
			name, value, _ := strings.Cut(directive, "=")
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "no-store", "no-cache":
				return 0, true
			case "max-age":
				age, ok := seconds(value)
				if ok && (!said || age < fresh) {
					fresh, said = age, true
				}
			}
		}
	}
	if past, ok := seconds(h.Get("Age")); ok && said {
		fresh = max(0, fresh-past)
	}
	return fresh, said
}

// seconds reads delta-seconds (RFC 9111, section 1.2.2), also quoted as some servers write it, and cut at 68 years as
// the RFC allows, so that no sum overflows.
func seconds(text string) (time.Duration, bool) {
	const most = 1<<31 - 1
	text = strings.Trim(strings.TrimSpace(text), `"`)
	if text == "" {
		return 0, false
	}
	var n int64
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = min(n*10+int64(c-'0'), most)
	}
	return time.Duration(n) * time.Second, true
}
