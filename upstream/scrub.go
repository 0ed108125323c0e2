package upstream

import (
	"strings"
	"unicode/utf8"

	"samsara.internal/gateway/internal/transcode"
)

// removed stands for the token where a text held it.
const removed = "[token]"

// leastPart is how many bytes of a token in a text that was cut are taken for it. A token of
// Samsara's begins with more that is no secret.
const leastPart = 4

// scrub removes the token from a text that came from outside, which may echo what it was sent: as it
// is, in other case as the names of headers are, with any of its bytes percent-encoded or with a
// backslash in front.
func scrub(text, token string) string { return scrubbed(text, token, false) }

// scrubMember is scrub for a name in a finding, which may have been cut off within the token.
func scrubMember(name, token string) string {
	return scrubbed(name, token, len(name) > transcode.MaxMemberBytes-utf8.UTFMax)
}

func scrubbed(text, token string, cut bool) string {
	var b strings.Builder
	kept := 0 // is how much of text is in b
	for i := 0; i < len(text); {
		n, matched := echoed(text[i:], token)
		if matched == len(token) || cut && matched >= leastPart && i+n == len(text) {
			b.WriteString(text[kept:i])
			b.WriteString(removed)
			i += n
			kept = i
			continue
		}
		i++
	}
	if kept == 0 {
		return text
	}
	b.WriteString(text[kept:])
	return b.String()
}

// echoed returns how many bytes of the token a text begins with, and how many of its own those are.
func echoed(text, token string) (n, matched int) {
	for ; matched < len(token); matched++ {
		want := lower(token[matched])
		switch rest := text[n:]; {
		case rest == "":
			return n, matched
		case lower(rest[0]) == want:
			n++
		case rest[0] == '\\' && len(rest) > 1 && lower(rest[1]) == want:
			n += 2
		case rest[0] == '%':
			for rest = rest[1:]; strings.HasPrefix(rest, "25"); rest = rest[2:] { // encoded more than once
			}
			if len(rest) < 2 || unhex(rest[0]) < 0 || unhex(rest[1]) < 0 || lower(byte(unhex(rest[0])<<4|unhex(rest[1]))) != want {
				return n, matched
			}
			n = len(text) - len(rest) + 2
		default:
			return n, matched
		}
	}
	return n, matched
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// unhex returns the value of a hexadecimal digit, -1 for any other byte.
func unhex(c byte) int {
	switch c = lower(c); {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	default:
		return -1
	}
}
