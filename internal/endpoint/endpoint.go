package endpoint

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/transcode"
)

// Endpoint is one operation of the REST API as a gRPC method, made by Load. It is immutable and
// safe for concurrent use.
type Endpoint struct {
	// FullMethod is "/samsara_gateway.vehicles.v1.VehiclesService/ListVehicles".
	FullMethod string
	// Method is the method's descriptor.
	Method protoreflect.MethodDescriptor
	// Input makes request messages.
	Input protoreflect.MessageType
	// Operation is the method's annotation.
	Operation *apiv1.Operation
	// HTTPMethod is "GET", "POST", "PUT", "PATCH" or "DELETE".
	HTTPMethod string
	// PathFields are the request's fields in the path, in the order of the template. Here and below, several
	// fields may be one parameter or member: see [transcode.Lines].
	PathFields []protoreflect.FieldDescriptor
	// QueryFields are the request's fields in the query, by number.
	QueryFields []protoreflect.FieldDescriptor
	// BodyFields are the request's fields in the JSON body, by number.
	BodyFields []protoreflect.FieldDescriptor
	// HasResponse is whether the response message has fields. If it has none, the operation declares no body.
	HasResponse bool
	// RequiresResponse is whether an empty response is wrong: the message requires a member, or has the
	// `data` that Samsara wraps answers in.
	RequiresResponse bool
	// RequiresData is whether a response with an empty `data` counts as empty: the message in `data` requires
	// a member.
	RequiresData bool
	// Response decodes the response body.
	Response *transcode.Decoder
	// Streams are the methods that read the pages. The ones that follow a feed come last.
	Streams []*Stream

	path  []segment
	query []parameter
	body  *transcode.Encoder
	// mask is the field that holds the update mask, nil if there is none.
	mask protoreflect.FieldDescriptor
	// cursor are the fields that hold the cursor or page number, none if there is none.
	cursor line
	// byNumber has the fields of the request, with nil for each of the body.
	byNumber map[protowire.Number]protoreflect.FieldDescriptor
}

// line are the fields of one parameter, the newest first.
type line []protoreflect.FieldDescriptor

// name returns the name of the newest field of l.
func (l line) name() string { return string(l[0].Name()) }

// isSet reports whether m has a field of l.
func (l line) isSet(m protoreflect.Message) bool { return slices.ContainsFunc(l, m.Has) }

// Numbered reports whether pages have numbers rather than cursors.
func (e *Endpoint) Numbered() bool {
	return e.Operation.GetPagination() == apiv1.Pagination_PAGINATION_PAGE_NUMBER
}

// cursorKey returns the name of the cursor's query parameter with its equals sign. It is the last parameter.
func (e *Endpoint) cursorKey() string { return e.query[len(e.query)-1].key }

// Request is a bound HTTP request.
type Request struct {
	// Path is escaped and begins with a slash.
	Path string
	// Query is encoded, without the question mark.
	Query string
	// Body is JSON; nil if none is sent.
	Body []byte
}

// Violation is one field of a request and the rule it breaks.
type Violation struct {
	// Field is the field's path in proto names, such as "stops[2].name".
	Field string
	// Description names the rule and the value, cut to MaxValueBytes.
	Description string
}

// ArgumentError lists what is wrong with a request, at least one violation and at most
// MaxViolations.
type ArgumentError struct{ Violations []Violation }

func (e *ArgumentError) Error() string {
	var b strings.Builder
	for i, v := range e.Violations {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(v.Field + ": " + v.Description)
	}
	return b.String()
}
