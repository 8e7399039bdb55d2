package audit

import (
	"bytes"
	"encoding/binary"
)

// Filter is a query ready to be held against rows and events.
type Filter struct {
	q     Query
	wants []want
}

// want is a text that a field must have.
type want struct {
	tag   Tag
	text  []byte
	coded []byte // the number that stands for it, where the store codes this tag
}

// Filter prepares a query.
func (q Query) Filter() *Filter {
	f := &Filter{q: q}
	for _, w := range []text{
		{TagTenant, q.Tenant}, {TagIssuer, q.Issuer}, {TagSubject, q.Subject}, {TagJTI, q.JTI}, {TagKid, q.Kid},
		{TagHost, q.Host}, {TagProfile, q.Profile}, {TagNode, q.Node}, {TagSession, q.Session}, {TagReason, string(q.Reason)},
	} {
		if w.value != "" {
			f.wants = append(f.wants, want{tag: w.tag, text: []byte(Cut(w.value))})
		}
	}
	return f
}

// Coded is the filter for rows of one store file, with the numbers that stand there for texts. It is nil where number
// knows that no row of the file has such a text.
func (f *Filter) Coded(number func(Tag, []byte) (n uint64, found, certain bool)) *Filter {
	g := &Filter{q: f.q, wants: append([]want(nil), f.wants...)}
	for i := range g.wants {
		w := &g.wants[i]
		n, found, certain := number(w.tag, w.text)
		if certain && !found {
			return nil
		}
		if found {
			w.coded = binary.AppendUvarint(nil, n)
		}
	}
	return g
}

// Row says whether a row is worth unpacking.
func (f *Filter) Row(data []byte) bool {
	h, fields, err := split(data)
	if err != nil || !f.head(h) {
		return false
	}
	if len(f.wants) == 0 {
		return true
	}
	found := 0
	for {
		tag, value, ok := fields.Next()
		if !ok {
			return found == len(f.wants)
		}
		for i := range f.wants {
			w := &f.wants[i]
			if tag == w.tag && bytes.Equal(value, w.text) || tag == w.tag|Coded && bytes.Equal(value, w.coded) {
				found++
			}
		}
	}
}

func (f *Filter) head(h head) bool {
	q := &f.q
	kind, stage := h.flags&kindMask, h.codes&other // those that have no number stand in a field, which Event looks at
	return (q.Kind == "" || kind == kindOther || h.kind() == q.Kind) && (q.Verdict == "" || h.verdict() == q.Verdict) &&
		(!q.Proven || h.proven()) && (q.Stage == "" || stage == other || named(stages[:], stage) == q.Stage)
}

// Event says whether an event is one that was asked for. Time is not looked at: rows are ordered by the moment they
// were recorded, and that is what a store compares.
func (f *Filter) Event(e *Event) bool {
	q := &f.q
	switch {
	case q.Kind != "" && e.Kind != q.Kind, q.Verdict != "" && e.Verdict != q.Verdict, q.Stage != "" && e.Stage != q.Stage, q.Proven && !e.Proven,
		q.Reason != "" && e.Reason != q.Reason, q.Fingerprint != Fingerprint{} && e.Fingerprint != q.Fingerprint,
		q.User != "" && (e.UserID == "" || e.UserID != Cut(q.User) && e.UserID != q.userAlias),
		q.RemoteIP != "" && (e.RemoteIP == "" || e.RemoteIP != Address(q.RemoteIP) && e.RemoteIP != q.addressAlias),
		q.Room != "" && !sameRoom(Cut(q.Room), e.Room):
		return false
	}
	return same(q.Tenant, e.Tenant) && same(q.Issuer, e.Issuer) && same(q.Subject, e.Subject) && same(q.JTI, e.JTI) && same(q.Kid, e.Kid) &&
		same(q.Host, e.Host) && same(q.Profile, e.Profile) && same(q.Node, e.Node) && same(q.Session, e.Session)
}

func same(asked, got string) bool { return asked == "" || Cut(asked) == got }
