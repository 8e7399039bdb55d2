package audit

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// MarshalJSON writes the event with the names of its tags, what is empty left out.
func (e Event) MarshalJSON() ([]byte, error) { return AppendJSON(nil, &e), nil }

// AppendJSON appends the event as one JSON object. Control and bidirectional characters are escaped: a program reads
// back what was there, a person who sees the line is not fooled.
func AppendJSON(dst []byte, e *Event) []byte {
	dst = append(dst, `{"time":"`...)
	dst = e.Time.UTC().AppendFormat(dst, timeFormat)
	dst = append(dst, '"')
	o := object{dst}
	o.text("id", e.ID)
	o.text("kind", string(e.Kind))
	o.raw("proven", strconv.FormatBool(e.Proven))
	o.text("node", e.Node)
	o.text("host", e.Host)
	o.text("profile", e.Profile)
	o.text("session", e.Session)
	o.text("stage", e.Stage)
	o.text("verdict", string(e.Verdict))
	o.text("reason", string(e.Reason))
	o.text("detail", e.Detail)
	o.text("issuer", e.Issuer)
	o.text("subject", e.Subject)
	o.text("user_id", e.UserID)
	o.text("user_name", e.UserName)
	o.text("user_email", e.UserEmail)
	o.text("room", e.Room)
	o.text("tenant", e.Tenant)
	o.text("jti", e.JTI)
	o.text("kid", e.Kid)
	o.text("alg", e.Alg)
	o.text("fingerprint", e.Fingerprint.String())
	o.text("remote_ip", e.RemoteIP)
	o.text("user_agent", e.UserAgent)
	o.raw("latency_us", strconv.FormatInt(e.LatencyUS, 10))
	o.text("actor", e.Actor)
	o.text("revocation_id", e.RevocationID)
	o.text("decision_id", e.DecisionID)
	o.text("outcome", e.Outcome)
	return append(o.b, '}')
}

const timeFormat = "2006-01-02T15:04:05.000Z07:00"

// MarshalJSON writes the time in the same form as an event's.
func (c Count) MarshalJSON() ([]byte, error) {
	dst := append([]byte(`{"time":"`), c.Time.UTC().Format(time.RFC3339)...)
	o := object{append(dst, '"')}
	o.member("key")
	o.b = appendString(o.b, c.Key)
	o.raw("count", strconv.FormatInt(c.Count, 10))
	return append(o.b, '}'), nil
}

// EscapeJSON appends a JSON text in which the characters are escaped that would fool a person who sees it. JSON has such
// characters in strings alone, so that a program reads back what was there.
func EscapeJSON(dst, text []byte) []byte {
	for i := 0; i < len(text); {
		r, n := rune(text[i]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRune(text[i:])
		}
		if r >= 0x7f && treacherous(r) {
			dst = appendEscaped(dst, r)
		} else {
			dst = append(dst, text[i:i+n]...)
		}
		i += n
	}
	return dst
}

// object is the open end of a JSON object.
type object struct{ b []byte }

func (o *object) member(name string) {
	if o.b[len(o.b)-1] != '{' {
		o.b = append(o.b, ',')
	}
	o.b = append(append(append(o.b, '"'), name...), `":`...)
}

func (o *object) text(name, value string) {
	if value == "" {
		return
	}
	o.member(name)
	o.b = appendString(o.b, value)
}

func (o *object) raw(name, value string) {
	o.member(name)
	o.b = append(o.b, value...)
}

const hexDigits = "0123456789abcdef"

func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	plain := 0
	for i := 0; i < len(s); {
		r, n := rune(s[i]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(s[i:])
		}
		if r != '"' && r != '\\' && r != '<' && r != utf8.RuneError && !treacherous(r) {
			i += n
			continue
		}
		dst = append(dst, s[plain:i]...)
		i += n
		plain = i
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		default:
			dst = appendEscaped(dst, r)
		}
	}
	return append(append(dst, s[plain:]...), '"')
}

func appendEscaped(dst []byte, r rune) []byte {
	if r > 0xffff { // a pair of surrogates, RFC 8259 section 7
		return appendEscape(appendEscape(dst, 0xd800+(r-0x10000)>>10), 0xdc00+(r-0x10000)&0x3ff)
	}
	return appendEscape(dst, r)
}

func appendEscape(dst []byte, r rune) []byte {
	return append(dst, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}
