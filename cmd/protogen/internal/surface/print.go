package surface

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"samsara.internal/gateway/cmd/protogen/internal/model"
	"samsara.internal/gateway/cmd/protogen/internal/words"
	apiv1 "samsara.internal/gateway/gen/api/v1"
)

// lineWidth is the width at which comments wrap.
const lineWidth = 100

// write writes the files that differ from those in the tree below root, and returns how many. The keys are
// paths below root.
func write(files map[string][]byte, root string) (int, error) {
	written := 0
	for _, name := range slices.Sorted(maps.Keys(files)) {
		file := filepath.Join(root, filepath.FromSlash(name))
		if have, err := os.ReadFile(file); err == nil && bytes.Equal(have, files[name]) { //nolint:gosec // the caller names the tree
			continue
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // sources are for everybody to read
			return written, err
		}
		if err := os.WriteFile(file, files[name], 0o644); err != nil { //nolint:gosec // sources are for everybody to read
			return written, err
		}
		written++
	}
	return written, nil
}

// printer collects the lines of a file in the layout of buf format.
type printer struct{ lines []string }

func (out *printer) line(depth int, format string, args ...any) {
	out.lines = append(out.lines, strings.Repeat("  ", depth)+fmt.Sprintf(format, args...))
}

// comment adds a text as comment lines, wrapped. An empty text adds none.
func (out *printer) comment(depth int, text string) {
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && 2*depth+len("// ")+len(line)+1+len(word) > lineWidth {
			out.line(depth, "// %s", line)
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	if line != "" {
		out.line(depth, "// %s", line)
	}
}

// print returns the package's file: the service, the messages of its methods, then the other messages by
// name.
func (p *pkg) print() []byte {
	slices.SortFunc(p.methods, func(a, b *method) int { return model.Compare(a.operation, b.operation) })
	out := &printer{}
	out.line(0, "// Written by cmd/protogen from the OpenAPI document. Do not edit.")
	out.line(0, "syntax = \"proto3\";\n")
	out.line(0, "package %s;\n", p)
	for _, file := range p.imports() {
		out.line(0, "import %q;", file)
	}
	out.line(0, "")
	out.options(p.Package)
	if len(p.methods) > 0 {
		out.line(0, "")
		out.comment(0, p.comment())
		out.line(0, "service %s {", p.Service())
		for _, m := range p.methods {
			out.method(m)
			for _, t := range m.twins {
				out.twin(m, t)
			}
		}
		out.line(0, "}")
	}
	for _, m := range p.ordered() {
		out.message(m)
	}
	return []byte(strings.Join(out.lines, "\n") + "\n")
}

// options adds the options of a file, which give each language the names that are usual there.
func (out *printer) options(p model.Package) {
	camel := p.Camel()
	out.line(0, `option csharp_namespace = "SamsaraGateway.%s.V1";`, camel)
	out.line(0, `option go_package = "samsara.internal/gateway/gen/%s/v1;%sv1";`, p.Area, strings.ReplaceAll(p.Area, "_", ""))
	out.line(0, `option java_multiple_files = true;`)
	out.line(0, `option java_outer_classname = "%sProto";`, camel)
	out.line(0, `option java_package = "internal.samsara.gateway.%s.v1";`, p.Area)
	out.line(0, `option objc_class_prefix = "SG%sV1";`, camel)
	out.line(0, `option php_metadata_namespace = "SamsaraGateway\\%s\\V1\\Metadata";`, camel)
	out.line(0, `option php_namespace = "SamsaraGateway\\%s\\V1";`, camel)
	out.line(0, `option ruby_package = "SamsaraGateway::%s::V1";`, camel)
	out.line(0, `option swift_prefix = "SG%sV1";`, camel)
}

// ordered returns the messages in the order in which they are printed.
func (p *pkg) ordered() []*message {
	var all, others []*message
	for _, m := range p.methods {
		all = append(all, m.request, m.response)
		for _, t := range m.twins {
			all = append(all, t.request, t.response)
		}
	}
	for _, m := range p.messages {
		if !slices.Contains(all, m) {
			others = append(others, m)
		}
	}
	slices.SortFunc(others, func(a, b *message) int { return cmp.Compare(a.name, b.name) })
	return append(all, others...)
}

func (p *pkg) imports() []string {
	files := map[string]bool{apiv1.File_samsara_gateway_api_v1_annotations_proto.Path(): true}
	for _, m := range p.messages {
		for _, f := range m.fields {
			switch {
			case f.kind == model.KindAny || f.kind == model.KindList:
				files["google/protobuf/struct.proto"] = true
			case f.kind == model.KindMask:
				files["google/protobuf/field_mask.proto"] = true
			case f.kind == model.KindStreamOptions || f.kind == model.KindFollowOptions || f.kind == model.KindKeepAlive:
				files[apiv1.File_samsara_gateway_api_v1_stream_proto.Path()] = true
			case f.message != nil && f.message.pkg != p:
				files[f.message.pkg.File()] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(files))
}

func (out *printer) method(m *method) {
	for _, line := range m.comment() {
		out.comment(1, line)
	}
	out.line(1, "rpc %s(%s) returns (%s) {", m.name, m.request.name, m.response.name)
	if m.deprecated {
		out.line(2, "option deprecated = true;")
	}
	if level := idempotency(m.operation); level != descriptorpb.MethodOptions_IDEMPOTENCY_UNKNOWN {
		out.line(2, "option idempotency_level = %s;", level)
	}
	out.line(2, "option (samsara_gateway.api.v1.operation) = %s;", literal(m.operation.ProtoReflect(), 2))
	out.line(1, "}")
}

func (out *printer) twin(m *method, t *twin) {
	for _, line := range m.twinComment(t) {
		out.comment(1, line)
	}
	out.line(1, "rpc %s(%s) returns (stream %s) {", t.name, t.request.name, t.response.name)
	if t.deprecated {
		out.line(2, "option deprecated = true;")
	}
	out.line(2, "option idempotency_level = %s;", descriptorpb.MethodOptions_NO_SIDE_EFFECTS)
	if !t.unserved {
		out.line(2, "option (samsara_gateway.api.v1.stream) = %s;", literal(t.stream.ProtoReflect(), 2))
	}
	out.line(1, "}")
}

// idempotency returns the idempotency level of an operation, for clients that do not know its annotation.
// An operation that may be repeated either only reads, or has an idempotent HTTP method.
func idempotency(o *apiv1.Operation) descriptorpb.MethodOptions_IdempotencyLevel {
	switch verb := o.GetMethod(); {
	case !o.GetRepeatable():
		return descriptorpb.MethodOptions_IDEMPOTENCY_UNKNOWN
	case verb == apiv1.HttpMethod_HTTP_METHOD_PUT, verb == apiv1.HttpMethod_HTTP_METHOD_DELETE:
		return descriptorpb.MethodOptions_IDEMPOTENT
	}
	return descriptorpb.MethodOptions_NO_SIDE_EFFECTS
}

func (out *printer) message(m *message) {
	out.line(0, "")
	out.comment(0, m.comment())
	body := &printer{}
	if m.deprecated {
		body.line(1, "option deprecated = true;")
	}
	for _, schema := range m.schemas {
		body.line(1, "option (samsara_gateway.api.v1.schema) = %q;", schema)
	}
	body.reserved(m.reserved)
	slices.SortFunc(m.fields, func(a, b *field) int { return cmp.Compare(a.number, b.number) })
	for _, f := range m.fields {
		body.field(m.pkg, f)
	}
	if len(body.lines) == 0 {
		out.line(0, "message %s {}", m.name)
		return
	}
	out.line(0, "message %s {", m.name)
	out.lines = append(out.lines, body.lines...)
	out.line(0, "}")
}

func (out *printer) reserved(r reserved) {
	var all []string
	for _, numbers := range r.ranges {
		text := strconv.Itoa(int(numbers[0]))
		if numbers[1] != numbers[0] {
			text += " to " + strconv.Itoa(int(numbers[1]))
		}
		all = append(all, text)
	}
	if len(all) > 0 {
		out.line(1, "reserved %s;", strings.Join(all, ", "))
	}
	if len(r.names) > 0 {
		out.line(1, "reserved %s;", `"`+strings.Join(r.names, `", "`)+`"`)
	}
}

func (out *printer) field(in *pkg, f *field) {
	out.comment(1, f.comment())
	var options []func(depth int) string
	if f.jsonName != words.JSONName(f.name) {
		options = append(options, func(int) string { return "json_name = " + strconv.Quote(f.jsonName) })
	}
	if f.deprecated {
		options = append(options, func(int) string { return "deprecated = true" })
	}
	if proto.Size(f.options) > 0 {
		options = append(options, func(depth int) string {
			return "(samsara_gateway.api.v1.field) = " + literal(f.options.ProtoReflect(), depth)
		})
	}
	declaration := fmt.Sprintf("%s %s = %d", f.typeIn(in), f.name, f.number)
	switch len(options) {
	case 0:
		out.line(1, "%s;", declaration)
	case 1:
		out.line(1, "%s [%s];", declaration, options[0](1))
	default:
		out.line(1, "%s [", declaration)
		for i, option := range options {
			end := ","
			if i == len(options)-1 {
				end = ""
			}
			out.line(2, "%s%s", option(2), end)
		}
		out.line(1, "];")
	}
}

// typeIn returns the field's type and label as a package writes them.
func (f *field) typeIn(in *pkg) string {
	name := f.kind.Name()
	if f.message != nil {
		name = f.message.name
		if f.message.pkg != in {
			name = f.message.pkg.String() + "." + name
		}
	}
	switch {
	case f.label == model.List:
		return "repeated " + name
	case f.label == model.Mapping:
		return "map<string, " + name + ">"
	case f.kind.Scalar():
		return "optional " + name
	}
	return name
}

// literal returns a message in the syntax of an option's value, with its fields by number.
func literal(m protoreflect.Message, depth int) string {
	var members []string
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		d := fields.Get(i)
		if m.Has(d) {
			members = append(members, string(d.Name())+": "+value(d, m.Get(d), depth+1))
		}
	}
	return block("{", members, "\n", depth, "}")
}

func value(d protoreflect.FieldDescriptor, v protoreflect.Value, depth int) string {
	if d.IsList() {
		var members []string
		for i := range v.List().Len() {
			members = append(members, element(d, v.List().Get(i), depth+1))
		}
		return block("[", members, ",\n", depth, "]")
	}
	return element(d, v, depth)
}

func element(d protoreflect.FieldDescriptor, v protoreflect.Value, depth int) string {
	if d.Message() != nil {
		return literal(v.Message(), depth)
	}
	return scalarValue(d, v)
}

func scalarValue(d protoreflect.FieldDescriptor, v protoreflect.Value) string {
	switch v := v.Interface().(type) {
	case string:
		return strconv.Quote(v)
	case protoreflect.EnumNumber:
		return string(d.Enum().Values().ByNumber(v).Name())
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	default:
		return fmt.Sprint(v)
	}
}

// block returns the members joined, each on a line of its own. A single scalar stays on the same line.
func block(open string, members []string, separator string, depth int, end string) string {
	if len(members) == 0 || len(members) == 1 && !strings.ContainsAny(members[0], "\n[") {
		return open + strings.Join(members, "") + end
	}
	indent := strings.Repeat("  ", depth)
	return open + "\n" + indent + "  " + strings.Join(members, separator+indent+"  ") + "\n" + indent + end
}
