package client

import "fmt"

// LoginError is a refusal at SASL.
type LoginError struct {
	Condition string // not-allowed, temporary-auth-failure, …
	Text      string
	Element   *Element
}

func (e *LoginError) Error() string {
	return fmt.Sprintf("login refused: <%s/> %q", e.Condition, e.Text)
}

// StanzaError is an error stanza in answer to one of ours.
type StanzaError struct {
	Type      string // cancel, wait, auth, …
	Condition string // not-allowed, service-unavailable, conflict, …
	Text      string
	JitsiCode string // the element in Jitsi's namespace, "" where there is none
	Element   *Element
}

func (e *StanzaError) Error() string {
	return fmt.Sprintf("answered with an error of type %s: <%s/> %q", e.Type, e.Condition, e.Text)
}

// StreamError is the end of a stream by the server, with its reason.
type StreamError struct {
	Condition string
	Text      string
}

func (e *StreamError) Error() string {
	return fmt.Sprintf("the server ended the stream: <%s/> %q", e.Condition, e.Text)
}

const (
	nsStanzas = "urn:ietf:params:xml:ns:xmpp-stanzas"
	nsStreams = "urn:ietf:params:xml:ns:xmpp-streams"
	nsSASL    = "urn:ietf:params:xml:ns:xmpp-sasl"
	nsJitsi   = "http://jitsi.org/jitmeet"
)

func stanzaError(stanza *Element) *StanzaError {
	e := &StanzaError{Element: stanza}
	err := stanza.Find("error")
	if err == nil {
		return e
	}
	e.Type, e.Text = err.Attr("type"), err.TextAt("{"+nsStanzas+"}text")
	e.Condition = condition(err, nsStanzas)
	if code := err.Find("{" + nsJitsi + "}*"); code != nil {
		e.JitsiCode = code.Name()
	}
	return e
}

func loginError(failure *Element) *LoginError {
	return &LoginError{Condition: condition(failure, nsSASL), Text: failure.TextAt("text"), Element: failure}
}

// isStreamError also knows the spelling of Prosody 13 over WebSocket, which writes <stream:error> in a message of its
// own without saying what the prefix stands for.
func isStreamError(e *Element) bool {
	return e.is("{http://etherx.jabber.org/streams}error") || e.is("{stream}error")
}

func streamError(e *Element) *StreamError {
	return &StreamError{Condition: condition(e, nsStreams), Text: e.TextAt("text")}
}

// condition is the name of the first child in ns that is not the text.
func condition(e *Element, ns string) string {
	for _, child := range e.All("{" + ns + "}*") {
		if child.Name() != "text" {
			return child.Name()
		}
	}
	return ""
}
