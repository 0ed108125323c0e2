package endpoint

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/transcode"
)

// compile returns the endpoint of a method. The error joins everything that is wrong with the method.
func compile(method protoreflect.MethodDescriptor, types *protoregistry.Types, compiler *transcode.Compiler) (*Endpoint, error) {
	e := &Endpoint{
		FullMethod:  fullMethod(method),
		Method:      method,
		Input:       messageType(types, method.Input()),
		Operation:   operation(method),
		HasResponse: method.Output().Fields().Len() > 0,

		RequiresResponse: requiresSome(method.Output(), nil),
		RequiresData:     requiresData(method.Output()),
	}
	problems := e.bindFields()
	if method.IsStreamingClient() || method.IsStreamingServer() {
		problems = append(problems, errors.New("an operation does not stream"))
	}
	var noMethod, noEncoder, noDecoder error
	e.HTTPMethod, noMethod = httpMethod(e.Operation.GetMethod())
	problems = append(problems, noMethod, e.compilePath(), e.compileQuery(), e.checkBody())
	e.body, noEncoder = compiler.Encoder(method.Input(), e.BodyFields)
	if e.Response, noDecoder = compiler.Decoder(method.Output()); noDecoder == nil {
		e.Response.SetRecords(wireNames(method.Output(), e.Operation.GetItems())...)
	}
	problems = append(problems, noEncoder, noDecoder)
	return e, errors.Join(problems...)
}

// wireNames returns the wire names of a path of proto names, up to the first name that is no field.
func wireNames(md protoreflect.MessageDescriptor, path string) (names []string) {
	for name := range strings.SplitSeq(path, ".") {
		if md == nil || md.Fields().ByName(protoreflect.Name(name)) == nil {
			break
		}
		fd := md.Fields().ByName(protoreflect.Name(name))
		names, md = append(names, transcode.WireName(fd)), fd.Message()
	}
	return names
}

// requiresSome reports whether a response requires a member, itself or in a message that it has as a member.
// above are the messages that contain md, which are not searched again.
func requiresSome(md protoreflect.MessageDescriptor, above []protoreflect.FullName) bool {
	if slices.Contains(above, md.FullName()) {
		return false
	}
	above = append(above, md.FullName())
	fields := md.Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		options := transcode.FieldOptions(fd)
		switch {
		case options.GetRetired():
		case options.GetRequired(), options.GetAnswered(), transcode.WireName(fd) == transcode.Envelope && len(above) == 1:
			return true
		case fd.Message() != nil && !fd.IsList() && !fd.IsMap() && requiresSome(fd.Message(), above):
			return true
		}
	}
	return false
}

// requiresData reports whether the message in a response's `data` requires a member.
func requiresData(md protoreflect.MessageDescriptor) bool {
	data := byWireName(md, transcode.Envelope)
	return data != nil && data.Message() != nil && !data.IsList() && !data.IsMap() &&
		requiresSome(data.Message(), []protoreflect.FullName{md.FullName()})
}

// messageType returns the type that makes messages of md. A registered type with another descriptor is not
// used: it would not take md's fields.
func messageType(types *protoregistry.Types, md protoreflect.MessageDescriptor) protoreflect.MessageType {
	mt, err := types.FindMessageByName(md.FullName())
	if err != nil || mt.Descriptor() != md {
		return dynamicpb.NewMessageType(md)
	}
	return mt
}

func httpMethod(m apiv1.HttpMethod) (string, error) {
	switch m {
	case apiv1.HttpMethod_HTTP_METHOD_GET:
		return "GET", nil
	case apiv1.HttpMethod_HTTP_METHOD_POST:
		return "POST", nil
	case apiv1.HttpMethod_HTTP_METHOD_PUT:
		return "PUT", nil
	case apiv1.HttpMethod_HTTP_METHOD_PATCH:
		return "PATCH", nil
	case apiv1.HttpMethod_HTTP_METHOD_DELETE:
		return "DELETE", nil
	default:
		return "", fmt.Errorf("HTTP method is %s", m)
	}
}

// bindFields sorts the request's fields into path, query, body and update mask.
func (e *Endpoint) bindFields() (problems []error) {
	fields := e.Method.Input().Fields()
	byNumber := make([]protoreflect.FieldDescriptor, 0, fields.Len())
	for i := range fields.Len() {
		byNumber = append(byNumber, fields.Get(i))
	}
	e.byNumber = map[protowire.Number]protoreflect.FieldDescriptor{}
	slices.SortFunc(byNumber, func(a, b protoreflect.FieldDescriptor) int { return cmp.Compare(a.Number(), b.Number()) })
	for _, fd := range byNumber {
		e.byNumber[fd.Number()] = fd
		switch in := transcode.FieldOptions(fd).GetIn(); in {
		case apiv1.Location_LOCATION_PATH:
			e.PathFields = append(e.PathFields, fd)
		case apiv1.Location_LOCATION_QUERY:
			e.QueryFields = append(e.QueryFields, fd)
		case apiv1.Location_LOCATION_BODY:
			e.BodyFields = append(e.BodyFields, fd)
			e.byNumber[fd.Number()] = nil
		case apiv1.Location_LOCATION_UPDATE_MASK:
			if e.mask != nil {
				problems = append(problems, fmt.Errorf("field %s: %s is an update mask already", fd.Name(), e.mask.Name()))
			}
			e.mask = fd
		default:
			problems = append(problems, fmt.Errorf("field %s: in is %s", fd.Name(), in))
		}
	}
	return problems
}

// segment is one segment of the path: a parameter's value, or a literal if it has no fields.
type segment struct {
	literal string
	fields  line
}

// compilePath compiles the template, and puts PathFields into its order.
func (e *Endpoint) compilePath() error {
	segments, err := parseTemplate(e.Operation.GetPath())
	if err != nil {
		return err
	}
	var problems []error
	left := transcode.Lines(e.PathFields)
	e.PathFields = nil
	for _, s := range segments {
		name, isName := templateName(s)
		if !isName {
			e.path = append(e.path, segment{literal: s})
			continue
		}
		i := slices.IndexFunc(left, func(fields []protoreflect.FieldDescriptor) bool { return transcode.WireName(fields[0]) == name })
		if i < 0 {
			problems = append(problems, fmt.Errorf("path template %q: no field is bound to {%s}", e.Operation.GetPath(), name))
			continue
		}
		fields := left[i]
		left = slices.Delete(left, i, i+1)
		for i, fd := range fields {
			if fd.IsList() || !isText(fd.Kind()) {
				problems = append(problems, fmt.Errorf("field %s: %s does not fit into a path", fd.Name(), kindName(fd)))
			}
			if i > 0 && !transcode.FieldOptions(fd).GetRetired() {
				problems = append(problems, fmt.Errorf("field %s: {%s} belongs to another field too", fd.Name(), name))
			}
		}
		e.PathFields = append(e.PathFields, fields...)
		e.path = append(e.path, segment{fields: fields})
	}
	for _, fields := range left {
		for _, fd := range fields {
			problems = append(problems, fmt.Errorf("field %s: path template %q has no {%s}, or another field has it", fd.Name(), e.Operation.GetPath(), transcode.WireName(fd)))
		}
	}
	return errors.Join(problems...)
}

// parameter is one query parameter.
type parameter struct {
	field protoreflect.FieldDescriptor
	// key is the escaped name with the equals sign.
	key      string
	required bool
	style    apiv1.ArrayStyle
	// set is whether the values of a list are sorted and sent once each.
	set bool
	// older are the retired forms of the parameter, the newest first.
	older []parameter
}

// cursorLast finds the cursor, and returns the query's parameters with the cursor last: what comes before it
// is the same for every page.
func (e *Endpoint) cursorLast() [][]protoreflect.FieldDescriptor {
	name := cursorName(e.Operation.GetPagination())
	isCursor := func(fields []protoreflect.FieldDescriptor) bool {
		return name != "" && transcode.WireName(fields[0]) == name
	}
	for _, fields := range transcode.Lines(e.PathFields) {
		if isCursor(fields) {
			e.cursor = fields
		}
	}
	ordered := transcode.Lines(e.QueryFields)
	if i := slices.IndexFunc(ordered, isCursor); i >= 0 {
		e.cursor = ordered[i]
		ordered = append(slices.Delete(ordered, i, i+1), e.cursor)
	}
	return ordered
}

func (e *Endpoint) compileQuery() error {
	var problems []error
	paged := e.Operation.GetPagination() != apiv1.Pagination_PAGINATION_UNSPECIFIED
	for _, fields := range e.cursorLast() {
		var forms []parameter
		for i, fd := range fields {
			options := transcode.FieldOptions(fd)
			p := parameter{
				field:    fd,
				key:      string(appendEscaped(nil, transcode.WireName(fd), keptInQuery)) + "=",
				required: options.GetRequired(),
				style:    options.GetArrayStyle(),
				set:      fd.IsList() && paged && !options.GetOrdered(),
			}
			if i > 0 && !options.GetRetired() {
				problems = append(problems, fmt.Errorf("field %s: query parameter %q belongs to another field too", fd.Name(), transcode.WireName(fd)))
			}
			if !isText(fd.Kind()) {
				problems = append(problems, fmt.Errorf("field %s: %s does not fit into a query", fd.Name(), kindName(fd)))
			} else if fd.IsList() && p.style != apiv1.ArrayStyle_ARRAY_STYLE_COMMA && p.style != apiv1.ArrayStyle_ARRAY_STYLE_REPEAT {
				problems = append(problems, fmt.Errorf("field %s: array_style of a repeated query parameter is %s", fd.Name(), p.style))
			}
			forms = append(forms, p)
		}
		newest := forms[0]
		newest.older = forms[1:]
		e.query = append(e.query, newest)
	}
	return errors.Join(problems...)
}

func (e *Endpoint) checkBody() error {
	var problems []error
	switch e.Operation.GetBody() {
	case apiv1.Body_BODY_OPTIONAL, apiv1.Body_BODY_REQUIRED:
	case apiv1.Body_BODY_UNSPECIFIED:
		for _, fd := range e.BodyFields {
			problems = append(problems, fmt.Errorf("field %s: the operation has no body", fd.Name()))
		}
		if e.mask != nil {
			problems = append(problems, fmt.Errorf("field %s: the operation has no body to mask", e.mask.Name()))
		}
	default:
		problems = append(problems, fmt.Errorf("body is %s", e.Operation.GetBody()))
	}
	if e.mask != nil && (e.mask.IsList() || e.mask.Message() == nil || e.mask.Message().FullName() != "google.protobuf.FieldMask") {
		problems = append(problems, fmt.Errorf("field %s: %s is not a google.protobuf.FieldMask", e.mask.Name(), kindName(e.mask)))
	}
	return errors.Join(problems...)
}

// isText reports whether paths and queries can hold values of a kind, because each value has one text.
func isText(kind protoreflect.Kind) bool {
	switch kind {
	case protoreflect.MessageKind, protoreflect.GroupKind, protoreflect.EnumKind, protoreflect.BytesKind:
		return false
	default:
		return true
	}
}

// kindName returns the name of a field's type for errors.
func kindName(fd protoreflect.FieldDescriptor) string {
	name := fd.Kind().String()
	switch {
	case fd.IsMap():
		return "a map"
	case fd.Message() != nil:
		name = string(fd.Message().FullName())
	}
	if fd.IsList() {
		return "repeated " + name
	}
	return name
}
