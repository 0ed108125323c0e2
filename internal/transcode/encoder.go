package transcode

import (
	"errors"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// WireName returns the JSON name of a field: the annotation's name where there is one, else
// the descriptor's json_name.
func WireName(fd protoreflect.FieldDescriptor) string { return fd.JSONName() }

// Encoder returns an encoder that writes the given fields of md as a JSON object.
func (c *Compiler) Encoder(md protoreflect.MessageDescriptor, fields []protoreflect.FieldDescriptor) (*Encoder, error) {
	return nil, errors.ErrUnsupported
}

// Encoder writes fields of a message as JSON.
type Encoder struct{}

// Mask is a compiled update mask: which fields to write, set or not.
type Mask struct{}

// Mask compiles paths (proto field names joined by dots).
func (e *Encoder) Mask(paths []string) (*Mask, error) { return nil, errors.ErrUnsupported }

// Append appends the JSON of m to dst.
func (e *Encoder) Append(dst []byte, m protoreflect.Message, mask *Mask) ([]byte, error) {
	return dst, errors.ErrUnsupported
}

// FieldError says which field cannot be written as JSON, and why.
type FieldError struct {
	// Path is the field's path in proto names, such as "geofence.circle.radius_meters".
	Path   string
	Reason string
}

func (e *FieldError) Error() string { return e.Path + ": " + e.Reason }
