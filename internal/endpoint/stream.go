package endpoint

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "samsara.internal/gateway/gen/api/v1"
)

// The bounds and defaults of stream options, as stream.proto states them.
const (
	// MinPollInterval is also the default.
	MinPollInterval          = 5 * time.Second
	maxPollInterval          = 24 * time.Hour
	minKeepAliveInterval     = time.Second
	defaultKeepAliveInterval = 30 * time.Second
)

// MaxCursorBytes bounds a cursor, before it is escaped.
const MaxCursorBytes = 16 << 10

// pageNumberBits bounds the number of the page that a stream begins at.
const pageNumberBits = 31

// FromCursor is the field in which a caller says how to go on with a stream.
const FromCursor = "options.from_cursor"

// statusNotFound is the HTTP status of what does not exist.
const statusNotFound = 404

// Stream is a method that reads the pages of an operation one after another, made by Load. It
// is immutable and safe for concurrent use.
type Stream struct {
	// FullMethod is "/samsara_gateway.vehicles.v1.VehiclesService/StreamVehicles".
	FullMethod string
	// Method is the method's descriptor.
	Method protoreflect.MethodDescriptor
	// Input makes request messages.
	Input protoreflect.MessageType
	// Pages is the operation that is read.
	Pages *Endpoint
	// Follow is whether the stream goes on after the last page.
	Follow bool
	// request and options are fields of Input.
	request, options protoreflect.FieldDescriptor
	// before and end are fields of the operation's request: where a page read backwards ends, and until when
	// records are wanted. They are nil if the operation has none.
	before, end line
	endRequired bool
	// page says where things are in a page.
	page layout
}

// Walk is a bound request to a Stream: the parameters of every page, and how much is wanted. It is immutable
// and safe for concurrent use.
type Walk struct {
	// Path and Query are the same for every page, except for the cursor.
	Path, Query string
	// Start is the cursor of the first page; empty: the page without cursor.
	Start string
	// CursorField is where the caller gave the cursor, "options.from_cursor" or the operation's own
	// field such as "request.after"; the former if there is none.
	CursorField string
	// MaxPages and MaxItems are at least 1, and math.MaxInt64 if the caller set no bound.
	MaxPages, MaxItems int64
	// PollInterval and KeepAliveInterval are for streams that follow.
	PollInterval, KeepAliveInterval time.Duration

	stream *Stream
}

// Bind turns a request message into a Walk, and changes the message on the way. The error is an
// *ArgumentError with all that is wrong with it: options out of bounds, what [Endpoint.Bind]
// refuses in the operation's request, and in that request also
//
//   - `endingBefore`, because a stream reads forward;
//   - a page number that is not a whole number or above 2147483647, and a cursor longer than
//     MaxCursorBytes;
//   - a cursor that is set and not equal to the options' `from_cursor`, if that is set too: an empty
//     text is set;
//   - `endTime` unset, if the annotation requires it;
//   - in a stream that follows, a cursor, because it begins at the options' `from_cursor`, and `endTime`,
//     because it has no end.
func (s *Stream) Bind(m protoreflect.Message) (*Walk, error) {
	if m.Descriptor() != s.Input.Descriptor() {
		return nil, wrongMessage(m, s.Input)
	}
	options, err := s.readOptions(m.Get(s.options).Message())
	if err != nil {
		return nil, err
	}
	w := &Walk{stream: s}
	var b binding
	b.options(w, options)
	inner := m.Mutable(s.request).Message()
	b.bounds(w, options, inner)
	if !s.Pages.Numbered() {
		for _, fd := range s.Pages.cursor {
			inner.Clear(fd)
		}
	}
	bound, err := s.Pages.Bind(inner)
	var refused *ArgumentError
	if errors.As(err, &refused) {
		for _, v := range refused.Violations {
			b.violation(s.inRequest(v.Field), v.Description)
		}
	}
	if len(b.violations) > 0 {
		return nil, &ArgumentError{Violations: b.violations}
	}
	w.Path, w.Query = bound.Path, bound.Query
	return w, err
}

// inRequest returns the path of a field of the operation's request.
func (s *Stream) inRequest(field string) string { return string(s.request.Name()) + "." + field }

// readOptions returns the options of a stream of either shape. FollowOptions have all fields of
// StreamOptions.
func (s *Stream) readOptions(m protoreflect.Message) (*apiv1.FollowOptions, error) {
	wire, err := proto.Marshal(m.Interface())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.options.Name(), err)
	}
	if s.Follow {
		var options apiv1.FollowOptions
		err = proto.Unmarshal(wire, &options)
		return &options, err
	}
	var options apiv1.StreamOptions
	err = proto.Unmarshal(wire, &options)
	return &apiv1.FollowOptions{MaxPages: options.MaxPages, MaxItems: options.MaxItems, FromCursor: options.FromCursor}, err
}

func (b *binding) options(w *Walk, options *apiv1.FollowOptions) {
	w.MaxPages = b.count("options.max_pages", options.MaxPages)
	w.MaxItems = b.count("options.max_items", options.MaxItems)
	w.PollInterval = b.interval("options.poll_interval", options.GetPollInterval(), MinPollInterval, MinPollInterval, maxPollInterval)
	w.KeepAliveInterval = b.interval("options.keep_alive_interval", options.GetKeepAliveInterval(), defaultKeepAliveInterval, minKeepAliveInterval, math.MaxInt64)
}

func (b *binding) count(field string, n *int32) int64 {
	if n == nil {
		return math.MaxInt64
	}
	if *n < 1 {
		b.violation(field, fmt.Sprintf("is %d, must be at least 1", *n))
	}
	return int64(*n)
}

func (b *binding) interval(field string, d *durationpb.Duration, unset, least, most time.Duration) time.Duration {
	if d == nil {
		return unset
	}
	switch value := d.AsDuration(); {
	case d.CheckValid() != nil:
		b.violation(field, fmt.Sprintf("is %d s and %d ns, must be a valid duration", d.GetSeconds(), d.GetNanos()))
	case value < least:
		b.violation(field, fmt.Sprintf("is %v, must be at least %v", value, least))
	case value > most:
		b.violation(field, fmt.Sprintf("is %v, must be at most %v", value, most))
	}
	return d.AsDuration()
}

// bounds finds out where the stream begins, and refuses a begin or end that it may not have.
func (b *binding) bounds(w *Walk, options *apiv1.FollowOptions, inner protoreflect.Message) {
	s := w.stream
	refuse := func(fields line, rule string) { b.violation(s.inRequest(fields.name()), rule) }
	b.start(w, options.FromCursor, inner)
	if s.before.isSet(inner) {
		refuse(s.before, "must not be set: a stream reads forward")
	}
	switch {
	case s.end == nil:
	case s.Follow && s.end.isSet(inner):
		refuse(s.end, "must not be set: a followed feed has no end")
	case s.endRequired && !s.end.isSet(inner):
		refuse(s.end, isRequired+": it is not known where the stream would end without it")
	}
}

// start finds out where the stream begins: at from, if that is set, or else at the operation's own cursor.
func (b *binding) start(w *Walk, from *string, inner protoreflect.Message) {
	s, cursor := w.stream, w.stream.Pages.cursor
	var set protoreflect.FieldDescriptor
	for _, fd := range cursor {
		switch {
		case !inner.Has(fd):
		case set == nil:
			set = fd
		case !s.Pages.Numbered(): // A number is in the path, which refuses two.
			b.violation(s.inRequest(cursor.name()), notTogether(fd))
		}
	}
	own := ""
	w.CursorField = FromCursor
	if set != nil {
		own = inner.Get(set).String()
	}
	switch {
	case s.Follow && set != nil:
		b.violation(s.inRequest(cursor.name()), "must not be set: a followed feed begins at "+FromCursor)
	case from == nil && own != "":
		w.Start, w.CursorField = own, s.inRequest(string(set.Name()))
	case from == nil:
	case set != nil && own != *from:
		b.violation(FromCursor, fmt.Sprintf("is %s, must be unset or equal to %s, which is %s", quote(*from), s.inRequest(string(set.Name())), quote(own)))
	default:
		w.Start = *from
	}
	if s.Pages.Numbered() && set == nil && w.Start != "" {
		inner.Set(cursor[0], protoreflect.ValueOfString(w.Start))
	}
	b.cursor(w)
}

// cursor refuses a cursor that a stream cannot begin at.
func (b *binding) cursor(w *Walk) {
	if len(w.Start) > MaxCursorBytes {
		b.violation(w.CursorField, fmt.Sprintf("is %d bytes long, must be at most %d", len(w.Start), MaxCursorBytes))
	}
	if w.Start == "" || !w.stream.Pages.Numbered() {
		return
	}
	switch _, err := strconv.ParseUint(w.Start, 10, pageNumberBits); {
	case errors.Is(err, strconv.ErrRange):
		b.violation(w.CursorField, fmt.Sprintf("is %s, must be at most %d", quote(w.Start), 1<<pageNumberBits-1))
	case err != nil:
		b.violation(w.CursorField, "is "+quote(w.Start)+", must be a whole number")
	}
}

// Request returns the request for the page at cursor; empty: the page without cursor.
func (w *Walk) Request(cursor string) Request {
	pages := w.stream.Pages
	switch {
	case cursor == "":
		return Request{Path: w.Path, Query: w.Query}
	case pages.Numbered():
		// The text before the first slash is empty, and no value adds a slash.
		segments := strings.Split(w.Path, "/")
		for i, s := range pages.path {
			if len(s.fields) > 0 && s.fields[0] == pages.cursor[0] {
				segments[i+1] = string(appendEscaped(nil, cursor, keptInPath))
			}
		}
		return Request{Path: strings.Join(segments, "/"), Query: w.Query}
	default:
		line := make([]byte, 0, len(w.Query)+len(cursor)+16)
		line = append(line, w.Query...)
		if len(line) > 0 {
			line = append(line, '&')
		}
		line = append(line, pages.cursorKey()...)
		return Request{Path: w.Path, Query: string(appendEscaped(line, cursor, keptInQuery))}
	}
}

// PastEnd reports whether an answer with an HTTP status means that the page at cursor is behind the last one:
// it is a numbered page other than the first, and was not found.
func (w *Walk) PastEnd(cursor string, status int) bool {
	number, err := strconv.ParseUint(cursor, 10, 32)
	return w.stream.Pages.Numbered() && err == nil && number > 1 && status == statusNotFound
}
