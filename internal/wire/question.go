// Package wire is the JSON contract between the shim and the verifier, version 1: how a question is read and how an
// answer is written. testdata holds the golden files that both sides are tested against.
package wire

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/usher-im/usher/internal/decide"
)

// Version of the contract, as `usher version` prints it.
const Version = 1

// maxIDLength bounds the id of a question: 128 bits in any usual spelling.
const maxIDLength = 64

// ParseQuestion reads the body of POST /v1/verify.
//
// It is strict, because whatever two readers could read differently is a hole: valid UTF-8, one object with nothing
// around it, no known member twice, each of its type. Members that it does not know are ignored. The strings of the
// question alias body wherever they hold no escape. An error names what is wrong and never quotes a value.
func ParseQuestion(body []byte) (decide.Question, error) {
	var q decide.Question
	if !utf8.Valid(body) {
		return q, errors.New("the body is not valid UTF-8")
	}
	s := scanner{in: body}
	if err := s.question(&q); err != nil {
		return q, err
	}
	return q, check(&q)
}

// question reads the one object that the body is.
func (s *scanner) question(q *decide.Question) error {
	if !s.take('{') {
		return errors.New("the body is not a JSON object")
	}
	var seen uint32
	for first := true; ; first = false {
		if s.take('}') {
			break
		}
		if !first && !s.take(',') {
			return s.fail("expected a comma or the end of the object")
		}
		name, err := s.text()
		if err != nil {
			return err
		}
		if !s.take(':') {
			return s.fail("expected a colon")
		}
		if err := s.member(q, name, &seen); err != nil {
			return err
		}
	}
	if s.peek(); s.pos < len(s.in) {
		return s.fail("something follows the object")
	}
	return nil
}

// member reads one value into its field; seen has one bit for each field.
func (s *scanner) member(q *decide.Question, name string, seen *uint32) error {
	field, bit := stringField(q, name)
	if field == nil && name != "stage" && name != "room_requires_auth" {
		return s.skip(0)
	}
	if *seen&bit != 0 {
		return fmt.Errorf("member %s stands twice", name)
	}
	*seen |= bit
	if name == "room_requires_auth" {
		b, err := s.boolean()
		if err != nil {
			return fmt.Errorf("member %s is not a boolean", name)
		}
		q.RoomRequiresAuth = b
		return nil
	}
	text, err := s.text()
	if err != nil {
		return fmt.Errorf("member %s: %w", name, err)
	}
	if name == "stage" {
		q.Stage = decide.Stage(text)
		return nil
	}
	*field = text
	return nil
}

// stringField finds the field of a member, and the bit that marks it as seen.
func stringField(q *decide.Question, name string) (*string, uint32) {
	switch name {
	case "id":
		return &q.ID, 1 << 0
	case "token":
		return &q.Token, 1 << 1
	case "grant":
		return &q.Grant, 1 << 2
	case "host":
		return &q.Host, 1 << 3
	case "profile":
		return &q.Profile, 1 << 4
	case "room":
		return &q.Room, 1 << 5
	case "tenant":
		return &q.Tenant, 1 << 6
	case "session":
		return &q.Session, 1 << 7
	case "previous_session":
		return &q.PreviousSession, 1 << 8
	case "remote_ip":
		return &q.RemoteIP, 1 << 9
	case "user_agent":
		return &q.UserAgent, 1 << 10
	case "stage":
		return nil, 1 << 11
	case "room_requires_auth":
		return nil, 1 << 12
	}
	return nil, 0
}

func check(q *decide.Question) error {
	switch {
	case q.ID == "" || len(q.ID) > maxIDLength:
		return fmt.Errorf("member id is missing or longer than %d bytes", maxIDLength)
	case !q.Stage.Valid():
		return errors.New("member stage is none of connect, create, join, recheck")
	case q.Host == "":
		return errors.New("member host is missing")
	case q.Token != "" && q.Grant != "":
		return errors.New("members token and grant exclude each other")
	case q.Room == "" && q.Stage.NeedsRoom():
		return errors.New("member room is missing; the stages join and create need it")
	}
	return nil
}
