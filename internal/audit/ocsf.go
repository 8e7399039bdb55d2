package audit

import (
	"strconv"
	"strings"
)

// AppendOCSF appends the event as an event of class 3002, Authentication, of the Open Cybersecurity Schema Framework
// 1.8.0 (https://schema.ocsf.io/1.8.0/classes/authentication). What the class has no name for stands under unmapped
// with the names of our own JSON.
//
// A name that no signature has proven is never given as the user: a SIEM would count it against somebody. It stands
// under unmapped as what was claimed.
func AppendOCSF(dst []byte, e *Event) []byte {
	activity, activityName := ocsfActivity(e)
	status, statusName := ocsfStatus(e)
	action, disposition := ocsfAction(e)
	dst = append(dst, `{"class_uid":3002,"class_name":"Authentication","category_uid":3,"category_name":"Identity & Access Management"`...)
	o := object{dst}
	o.number("activity_id", activity)
	o.text("activity_name", activityName)
	o.number("type_uid", 300200+activity)
	o.number("severity_id", ocsfSeverity(e))
	o.number("time", e.Time.UnixMilli())
	o.text("message", ocsfMessage(e))
	o.number("status_id", status)
	o.text("status", statusName)
	o.text("status_code", string(e.Reason))
	o.text("status_detail", Clean(e.Detail))
	o.number("action_id", action)
	o.number("disposition_id", disposition)
	o.number("auth_protocol_id", 99)
	o.text("auth_protocol", "JWT")
	o.raw("is_remote", "true")
	ocsfObjects(&o, e)
	ocsfUnmapped(&o, e)
	return append(o.b, '}')
}

const (
	ocsfLogon  = 1
	ocsfLogoff = 2
	ocsfOther  = 99
)

func ocsfActivity(e *Event) (int64, string) {
	switch {
	case e.Kind == Ejection:
		return ocsfLogoff, "Logoff"
	case e.Kind != Decision:
		return ocsfOther, string(e.Kind)
	case e.Stage == "connect":
		return ocsfLogon, "Logon"
	}
	return ocsfOther, "room " + e.Stage
}

func ocsfStatus(e *Event) (int64, string) {
	switch {
	case e.Verdict == Allow, e.Outcome == "ejected":
		return 1, "Success"
	case e.Verdict == Deny, e.Outcome == "failed":
		return 2, "Failure"
	case e.Verdict == Unavailable:
		return 99, "no verdict could be had"
	case e.Kind == Revocation, e.Kind == Lift:
		return 1, "Success"
	}
	return 0, "Unknown"
}

// ocsfAction is action_id and disposition_id of the security control profile.
func ocsfAction(e *Event) (action, disposition int64) {
	switch {
	case e.Kind == Ejection, e.Kind == Revocation:
		return 2, 24 // Denied, Access Revoked
	case e.Verdict == Allow:
		return 1, 1
	case e.Verdict == Deny:
		return 2, 2
	case e.Verdict == Unavailable:
		return 2, 27 // Denied, Error
	}
	return 0, 0
}

// ocsfSeverity: what is allowed informs; a deny is low, since tokens expire every day; what somebody must have tried is
// medium.
func ocsfSeverity(e *Event) int64 {
	switch {
	case e.Kind == Ejection, e.Reason == "token_revoked", e.Reason == "token_replayed", e.Reason == "signature_invalid", e.Reason == "algorithm_not_allowed":
		return 3
	case e.Verdict == Deny, e.Verdict == Unavailable:
		return 2
	}
	return 1
}

func ocsfMessage(e *Event) string {
	if e.Kind != Decision {
		return strings.TrimSpace(string(e.Kind) + " " + e.Outcome)
	}
	if e.Verdict == Allow {
		return "A token was accepted."
	}
	return e.Reason.Info().Message
}

func ocsfObjects(o *object, e *Event) {
	m := o.open("metadata")
	m.text("version", "1.8.0")
	m.text("uid", e.ID)
	m.text("log_name", "usher audit")
	m.text("event_code", string(e.Kind))
	m.text("correlation_uid", e.DecisionID)
	m.text("tenant_uid", e.Tenant)
	m.raw("profiles", `["security_control"]`)
	p := m.open("product")
	p.text("name", "usher")
	p.text("vendor_name", "usher")
	m.close(p)
	o.close(m)

	u := o.open("user")
	switch {
	case e.Kind == Decision && e.Proven && e.UserID != "":
		u.text("uid", e.UserID)
		u.text("name", e.UserName)
		u.text("email_addr", e.UserEmail)
	case e.Kind != Decision && e.Actor != "":
		u.text("name", e.Actor)
	case e.Kind == Decision && !e.Proven && e.UserID != "":
		u.text("name", "(unproven)")
	default:
		u.text("name", "(unknown)")
	}
	o.close(u)

	s := o.open("service")
	s.text("name", ocsfService(e))
	o.close(s)
	o.nested("src_endpoint", "ip", e.RemoteIP)
	o.nested("dst_endpoint", "hostname", e.Host)
	o.nested("http_request", "user_agent", e.UserAgent)
	o.nested("session", "uid", e.Session)
}

// ocsfService is what somebody asked to get into.
func ocsfService(e *Event) string {
	switch {
	case e.Room != "":
		return e.Room
	case e.Host != "":
		return e.Host
	}
	return "usher"
}

func ocsfUnmapped(o *object, e *Event) {
	m := o.open("unmapped")
	m.raw("proven", strconv.FormatBool(e.Proven))
	m.text("node", e.Node)
	m.text("profile", e.Profile)
	m.text("stage", e.Stage)
	m.text("verdict", string(e.Verdict))
	m.text("issuer", e.Issuer)
	m.text("subject", e.Subject)
	if !e.Proven {
		m.text("user_id", e.UserID)
	}
	m.text("room", e.Room)
	m.text("jti", e.JTI)
	m.text("kid", e.Kid)
	m.text("alg", e.Alg)
	m.text("fingerprint", e.Fingerprint.String())
	m.number("latency_us", e.LatencyUS)
	m.text("revocation_id", e.RevocationID)
	m.text("outcome", e.Outcome)
	o.close(m)
}

func (o *object) number(name string, v int64) {
	o.member(name)
	o.b = strconv.AppendInt(o.b, v, 10)
}

// nested adds an object of one text, or nothing where there is no text.
func (o *object) nested(name, member, value string) {
	if value == "" {
		return
	}
	n := o.open(name)
	n.text(member, value)
	o.close(n)
}

// open begins an object within this one; close takes it back. In between only the inner one is written to.
func (o *object) open(name string) *object {
	o.member(name)
	return &object{append(o.b, '{')}
}

func (o *object) close(n *object) { o.b = append(n.b, '}') }
