package service

import (
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc/metadata"

	"samsara.internal/gateway/internal/transcode"
)

// Metadata of responses. See the package comment for when each is sent.
const (
	requestIDKey = "samsara-request-id"
	attemptsKey  = "samsara-attempts"
	driftKey     = "samsara-drift"
	cursorKey    = "samsara-cursor"
)

// The bounds of the trailer samsara-drift.
const (
	maxDriftEntries = 16
	maxDriftBytes   = 1 << 10
)

// callMetadata says how many attempts a call took, and what Samsara calls the last of them.
func callMetadata(attempts int, requestID string) metadata.MD {
	md := metadata.Pairs(attemptsKey, strconv.Itoa(attempts))
	if requestID != "" {
		md.Set(requestIDKey, escape(requestID))
	}
	return md
}

// maxCursorBytes bounds the trailer samsara-cursor: clients accept 8 KiB of metadata by default.
const maxCursorBytes = 2 << 10

// cursorMetadata says where to go on, unless that is no text that metadata carries unchanged.
func cursorMetadata(cursor string) metadata.MD {
	notPrintable := func(r rune) bool { return r <= ' ' || r > '~' }
	if cursor == "" || len(cursor) > maxCursorBytes || strings.ContainsFunc(cursor, notPrintable) {
		return nil
	}
	return metadata.Pairs(cursorKey, cursor)
}

// driftSum adds up what the pages of a stream differed in. It holds no more different findings
// than one response does.
type driftSum struct {
	findings []transcode.Finding
	dropped  int
}

func (s *driftSum) add(d *transcode.Drift) {
	s.dropped += d.Dropped()
	for _, f := range d.Findings() {
		i := slices.IndexFunc(s.findings, func(known transcode.Finding) bool {
			return known.Kind == f.Kind && known.Message == f.Message && known.Member == f.Member
		})
		switch {
		case i >= 0:
			s.findings[i].Count += f.Count
		case len(s.findings) < transcode.MaxFindings:
			s.findings = append(s.findings, f)
		default:
			s.dropped += f.Count
		}
	}
}

// driftText writes findings, and how often there were more, in the grammar of the package
// comment. It is at most maxDriftBytes long and has at most maxDriftEntries entries, the one
// that counts the rest included.
func driftText(findings []transcode.Finding, more int) string {
	// rest is room for ", *=more;n=" and a count.
	const rest = 32
	var b strings.Builder
	for i, f := range findings {
		member := escape(f.Member)
		if f.Kind == transcode.Wrapped || f.Kind == transcode.NoBody {
			member = "*"
		}
		entry := escape(f.Message) + "." + member + "=" + f.Kind.String() + count(f.Count)
		last := i == len(findings)-1 && more == 0
		if (i == maxDriftEntries-1 && !last) || b.Len()+len(entry) > maxDriftBytes-rest {
			for _, f := range findings[i:] {
				more += f.Count
			}
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(entry)
	}
	if more > 0 {
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteString("*=more" + count(more))
	}
	return b.String()
}

func count(n int) string {
	if n == 1 {
		return ""
	}
	return ";n=" + strconv.Itoa(n)
}

// escape percent-encodes every byte of s but ASCII letters, digits, hyphens and underscores, so
// that upstream text is fit for metadata and has no meaning there.
func escape(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	b.Grow(len(s))
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}
