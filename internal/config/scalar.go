package config

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// scalar is a value as it was written.
type scalar struct {
	text string
	// typed: YAML read it as a number, boolean or null ("5" in quotes and text from the environment are not).
	typed string // "number", "boolean", "null" or ""
}

// setScalar reads a scalar into a field. Its error completes the sentence "<key> …".
func setScalar(f field, v reflect.Value, s scalar) error {
	if s.typed == "null" {
		return fmt.Errorf("has no value; give it one%s, or remove the line", like(f))
	}
	switch f.kind {
	case isSecret:
		v.SetString(s.text)
	case isText:
		return setText(f, v, s)
	case isBool:
		b, ok := map[string]bool{"true": true, "false": false}[strings.ToLower(s.text)]
		if !ok {
			return fmt.Errorf("must be true or false, not %q", s.text)
		}
		v.SetBool(b)
	case isNumber:
		n, err := strconv.Atoi(s.text)
		if err != nil || n < 0 {
			return fmt.Errorf("must be a whole number, 0 or more, not %q", s.text)
		}
		v.SetInt(int64(n))
	case isSize:
		n, err := parseSize(s.text)
		if err != nil {
			return err
		}
		v.SetInt(int64(n))
	case isSpan:
		d, err := parseSpan(s.text)
		if err != nil {
			return err
		}
		v.SetInt(int64(d))
	case isTime:
		t, err := time.Parse(time.RFC3339, s.text)
		if err != nil {
			return fmt.Errorf("must be a time as RFC 3339 has it, such as 2027-01-01T00:00:00Z, not %q", s.text)
		}
		v.Set(reflect.ValueOf(t))
	default:
		return errors.New("takes no single value")
	}
	return nil
}

func setText(f field, v reflect.Value, s scalar) error {
	text := s.text
	// A bare off is a boolean to YAML 1.1 and its editors, and a word to YAML 1.2; false is what such an editor leaves.
	if s.typed == "boolean" && strings.EqualFold(text, "false") && slices.Contains(f.enum, Off) {
		text = Off
	}
	if f.enum != nil {
		word, err := oneOf(f.enum, text)
		if err != nil {
			return err
		}
		v.SetString(word)
		return nil
	}
	if s.typed == "boolean" {
		return fmt.Errorf("must be a text, not %s; put it in quotes if the word is meant", text)
	}
	v.SetString(text)
	return nil
}

// oneOf finds a word among the allowed ones. Case matters only to say which one was meant.
func oneOf(allowed []string, word string) (string, error) {
	if slices.Contains(allowed, word) {
		return word, nil
	}
	if near, ok := nearest(word, allowed); ok {
		return "", fmt.Errorf("must be %s, not %q; the nearest is %q", alternatives(allowed), word, near)
	}
	return "", fmt.Errorf("must be %s, not %q", alternatives(allowed), word)
}

func alternatives(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// like gives a hint how a key's value looks.
func like(f field) string {
	switch {
	case len(f.enum) > 0:
		return " (" + alternatives(f.enum) + ")"
	case f.example != "":
		return " such as " + f.example
	case f.def != "":
		return " such as " + f.def
	default:
		return ""
	}
}

var spanUnits = map[string]time.Duration{
	"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour,
	"d": 24 * time.Hour, "w": 7 * 24 * time.Hour,
}

// parseSpan reads 10s, 1h30m, 90d. A day is 24 hours: retention does not follow summer time.
func parseSpan(text string) (time.Duration, error) {
	bad := fmt.Errorf("must be a span of time such as 500ms, 10s, 24h or 90d, not %q", text)
	if text == "0" {
		return 0, nil
	}
	var sum time.Duration
	for rest := text; ; {
		digits := leading(rest, "0123456789")
		unit := leading(rest[len(digits):], "mshdw")
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || spanUnits[unit] == 0 || n > int64((math.MaxInt64-sum)/spanUnits[unit]) {
			return 0, bad
		}
		sum += time.Duration(n) * spanUnits[unit]
		if rest = rest[len(digits)+len(unit):]; rest == "" {
			return sum, nil
		}
	}
}

var sizeUnits = map[string]uint64{
	"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
	"kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
}

// parseSize reads 8192, 8KiB, 10GiB, and the decimal units too.
func parseSize(text string) (Size, error) {
	digits := leading(text, "0123456789")
	n, err := strconv.ParseUint(digits, 10, 63)
	unit := sizeUnits[strings.TrimSpace(text[len(digits):])]
	over, product := bits.Mul64(n, unit)
	if err != nil || unit == 0 || over != 0 || product > math.MaxInt64 {
		return 0, fmt.Errorf("must be a size such as 8KiB, 512MiB or 10GiB, not %q", text)
	}
	return Size(product), nil
}

func leading(text, set string) string { return text[:len(text)-len(strings.TrimLeft(text, set))] }

// Size is a number of bytes, written as 8KiB or 10GiB.
type Size int64

// String writes a size as the config does.
func (s Size) String() string {
	for _, unit := range []string{"TiB", "GiB", "MiB", "KiB"} {
		if n := int64(sizeUnits[unit]); s != 0 && int64(s)%n == 0 {
			return strconv.FormatInt(int64(s)/n, 10) + unit
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}
