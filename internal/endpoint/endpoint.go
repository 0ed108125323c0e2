// Package endpoint compiles annotated methods into what a call needs to know of them.
package endpoint

import (
	"errors"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	gatewayv1 "samsara.internal/gateway/gen/samsara/gateway/v1"
	"samsara.internal/gateway/internal/transcode"
)

// Endpoint is one operation of the REST API as a gRPC method. It is immutable and safe for
// concurrent use.
type Endpoint struct {
	// FullMethod is "/samsara.vehicles.v1.VehiclesService/ListVehicles".
	FullMethod string
	// Method is the method's descriptor.
	Method protoreflect.MethodDescriptor
	// Input makes request messages.
	Input protoreflect.MessageType
	// Operation is the method's annotation.
	Operation *gatewayv1.Operation
	// HTTPMethod is "GET", "POST", "PUT", "PATCH" or "DELETE".
	HTTPMethod string
	// Response decodes the response body.
	Response *transcode.Decoder
}

// Load compiles every annotated method of every package below samsara., sorted by
// FullMethod. Request messages are made by types, or dynamically where types has none.
// The error joins everything that is wrong.
func Load(files *protoregistry.Files, types *protoregistry.Types) ([]*Endpoint, error) {
	return nil, errors.ErrUnsupported
}

// Request is a bound HTTP request.
type Request struct {
	// Path is escaped and begins with a slash.
	Path string
	// Query is encoded, without the question mark.
	Query string
	// Body is JSON; nil where none is sent.
	Body []byte
}

// Bind turns a request message into an HTTP request. The error is an *ArgumentError.
func (e *Endpoint) Bind(m protoreflect.Message) (Request, error) {
	return Request{}, errors.ErrUnsupported
}

// Violation is one field of a request and the rule it breaks.
type Violation struct {
	// Field is the field's path in proto names.
	Field string
	// Description names the rule and the value.
	Description string
}

// ArgumentError lists everything that is wrong with a request, at least one violation.
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
