package jsontext

// Number is the length of the number literal (RFC 8259, section 6) at the front of s; 0 where there is none, or one that
// breaks off.
func Number(s string) int {
	n := 0
	is := func(c byte) bool {
		if n == len(s) || s[n] != c {
			return false
		}
		n++
		return true
	}
	digits := func() bool {
		start := n
		for n < len(s) && '0' <= s[n] && s[n] <= '9' {
			n++
		}
		return n > start
	}
	is('-')
	if !is('0') && !digits() || is('.') && !digits() {
		return 0
	}
	if is('e') || is('E') {
		if !is('+') {
			is('-')
		}
		if !digits() {
			return 0
		}
	}
	return n
}
