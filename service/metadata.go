package service

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"samsara.internal/gateway/internal/transcode"
)

// Metadata of responses. See the package comment for when each is sent.
const (
	requestIDKey = "samsara-request-id"
	attemptsKey  = "samsara-attempts"
	driftKey     = "samsara-drift"
	cursorKey    = "samsara-cursor"
	pushbackKey  = "grpc-retry-pushback-ms"
)

// The bounds of the trailer samsara-drift.
const (
	maxDriftEntries = 16
	maxDriftBytes   = 1 << 10
)

// callMetadata returns metadata with how many attempts a call took, and Samsara's id of the last one.
func callMetadata(attempts int, requestID string) metadata.MD {
	md := metadata.Pairs(attemptsKey, strconv.Itoa(attempts))
	if requestID != "" {
		md.Set(requestIDKey, escape(requestID))
	}
	return md
}

// The bounds of the trailer of a stream that fails.
const (
	// maxTrailerBytes is how much metadata gRPC clients in Java and C++ accept by default, counted as
	// HTTP/2 does: the names and values of its fields, and fieldBytes for each.
	maxTrailerBytes = 8 << 10
	fieldBytes      = 32
	// maxCursorBytes bounds samsara-cursor. Beside a cursor of that length there is always room for
	// everything else, if the message of the status has at most shortMessageBytes.
	maxCursorBytes    = 4 << 10
	shortMessageBytes = 256
)

// isCarried reports whether metadata carries a cursor unchanged, and the cursor is not too long.
func isCarried(cursor string) bool {
	notPrintable := func(r rune) bool { return r <= ' ' || r > '~' }
	return len(cursor) <= maxCursorBytes && !strings.ContainsFunc(cursor, notPrintable)
}

// fit returns a status that fits into the trailer beside md, with a shorter message if necessary.
func fit(s *status.Status, md metadata.MD) *status.Status {
	if trailerBytes(s, md) <= maxTrailerBytes {
		return s
	}
	p := s.Proto()
	p.Message = clip(p.GetMessage(), shortMessageBytes)
	return status.FromProto(p)
}

// trailerBytes returns how large a trailer is at most, also if nothing was sent before it.
func trailerBytes(s *status.Status, md metadata.MD) int {
	size := 0
	field := func(name string, bytes int) { size += len(name) + bytes + fieldBytes }
	field(":status", len("200"))
	field("content-type", len("application/grpc+proto"))
	field("grpc-status", len("16"))
	message := 0
	for i := range len(s.Message()) {
		if c := s.Message()[i]; c < ' ' || c > '~' || c == '%' {
			message += len("%00")
		} else {
			message++
		}
	}
	field("grpc-message", message)
	field(pushbackKey, len("60000"))
	field(callIDKey, maxCallIDBytes)
	field(traceKey, len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))
	field("grpc-status-details-bin", base64.StdEncoding.EncodedLen(proto.Size(s.Proto())))
	for name, values := range md {
		for _, value := range values {
			field(name, len(value))
		}
	}
	return size
}

// driftSum adds up the drift of the pages of a stream. It holds no more different findings than one response
// does.
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

// escape percent-encodes every byte of s except ASCII letters, digits, hyphens and underscores. Upstream text
// is then fit for metadata and has no meaning there.
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
