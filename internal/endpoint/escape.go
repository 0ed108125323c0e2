package endpoint

import "strings"

// appendEscaped appends s, and percent-encodes every byte for which kept is false.
func appendEscaped(dst []byte, s string, kept func(byte) bool) []byte {
	const hex = "0123456789ABCDEF"
	start := 0
	for i := 0; i < len(s); i++ {
		if c := s[i]; !kept(c) {
			dst = append(dst, s[start:i]...)
			dst = append(dst, '%', hex[c>>4], hex[c&0xf])
			start = i + 1
		}
	}
	return append(dst, s[start:]...)
}

// keptInPath reports whether a path keeps c as it is: pchar of RFC 3986, section 3.3, except the plus sign,
// which some servers read as a space. The colon of an external id, `key:value`, is kept.
func keptInPath(c byte) bool {
	switch c {
	case '!', '$', '&', '\'', '(', ')', '*', ',', ';', '=', ':', '@':
		return true
	}
	return keptInQuery(c)
}

// keptInQuery reports whether a query keeps c as it is: unreserved of RFC 3986, section 2.3. Whatever may
// separate names, values or the elements of a list is escaped within them.
func keptInQuery(c byte) bool {
	switch c {
	case '-', '.', '_', '~':
		return true
	}
	return isAlphanumeric(rune(c))
}

func isAlphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

// climbs reports whether a path segment would name its parent, itself or nothing: an empty, `.` or `..`
// segment. Percent-encoded dots count, because a server that decodes the path twice would see them.
func climbs(segment string) bool {
	dots := 0
	for segment != "" {
		switch {
		case segment[0] == '.':
			segment = segment[1:]
		case len(segment) >= 3 && strings.EqualFold(segment[:3], "%2e"):
			segment = segment[3:]
		default:
			return false
		}
		dots++
	}
	return dots <= 2
}
