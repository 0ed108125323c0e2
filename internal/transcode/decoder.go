// Package transcode translates between JSON and protobuf, compiled from descriptors.
package transcode

import (
	"errors"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// MaxDepth is how deep a JSON document may nest.
const MaxDepth = 100

// MaxValueDepth is how deep a value may nest inside a google.protobuf.Value, so that the
// message stays within the 100 levels that C++ and Java parse.
const MaxValueDepth = 30

// SyntaxError says why a document is not JSON.
type SyntaxError struct {
	// Offset is the byte at which it stops being JSON.
	Offset int
	// Reason is what was found there. It holds none of the document's text.
	Reason string
}

func (e *SyntaxError) Error() string { return e.Reason }

// ErrRoot means that a document is JSON, but its outermost value is of another type than the
// message: a string or number where an object is declared.
var ErrRoot = errors.New("outermost JSON value has another type than the message")

// A Compiler compiles decoders and encoders, each message once. It is not safe for concurrent
// use; what it returns is.
type Compiler struct{}

// Decoder returns the decoder for md.
func (c *Compiler) Decoder(md protoreflect.MessageDescriptor) (*Decoder, error) {
	return nil, errors.ErrUnsupported
}

// Decoder turns JSON into the wire form of one message.
type Decoder struct{}

// Append appends the wire form of the JSON document src to dst.
func (d *Decoder) Append(dst, src []byte, drift *Drift) ([]byte, error) {
	return dst, errors.ErrUnsupported
}

// Valid reports, as a *SyntaxError, why src is not one JSON document that Append would read.
func Valid(src []byte) error { return errors.ErrUnsupported }
