package endpoint_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	_ "samsara.internal/gateway/gen"
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/transcode"
)

// document is an OpenAPI document, as far as examples need it.
type document map[string]any

// at returns what is under a path of names, nil if there is nothing.
func (d document) at(v any, names ...string) any {
	for _, name := range names {
		v = d.resolve(v)[name]
	}
	return v
}

// resolve returns the object that v is or refers to.
func (d document) resolve(v any) map[string]any {
	object, _ := v.(map[string]any)
	for reference, ok := object["$ref"].(string); ok; reference, ok = object["$ref"].(string) {
		object = map[string]any(d)
		for name := range strings.SplitSeq(strings.TrimPrefix(reference, "#/"), "/") {
			object, _ = object[name].(map[string]any)
		}
	}
	return object
}

// example assembles the example of a schema. If whole is true its own example comes first, else the examples
// of its members. It adds the paths of the examples that it uses to used.
func (d document) example(schema any, whole bool, within []string, used map[string]bool) (value any, ok bool) {
	if object, isObject := schema.(map[string]any); isObject {
		if reference, ok := object["$ref"].(string); ok {
			if slices.Contains(within, reference) {
				return nil, false
			}
			within = append(slices.Clone(within), reference)
		}
	}
	s := d.resolve(schema)
	if s == nil {
		return nil, false
	}
	own, hasOwn := s["example"]
	if hasOwn && whole {
		used[fmt.Sprintf("%p", s)] = true
		return own, true
	}
	object := map[string]any{}
	parts, _ := s["allOf"].([]any)
	for _, part := range parts {
		if v, ok := d.example(part, whole, within, used); ok {
			members, isObject := v.(map[string]any)
			if !isObject {
				return v, true
			}
			maps.Copy(object, members)
		}
	}
	properties, _ := s["properties"].(map[string]any)
	for name, property := range properties {
		if v, ok := d.example(property, whole, within, used); ok {
			object[name] = v
		}
	}
	if v, ok := d.example(s["additionalProperties"], whole, within, used); ok {
		object["key"] = v
	}
	if len(object) > 0 {
		return object, true
	}
	if item, ok := d.example(s["items"], whole, within, used); ok {
		return []any{item}, true
	}
	if hasOwn {
		used[fmt.Sprintf("%p", s)] = true
	}
	return own, hasOwn
}

// examples returns the example bodies of a media type, and adds to used which of the document's examples they
// are made of.
func (d document) examples(content any, used map[string]bool) (bodies []any) {
	media, _ := d.at(content, "content", "application/json").(map[string]any)
	if media == nil {
		return nil
	}
	if own, ok := media["example"]; ok {
		bodies = append(bodies, own)
		used[fmt.Sprintf("%p", media)] = true
	}
	named, _ := media["examples"].(map[string]any)
	for name, example := range named {
		bodies = append(bodies, d.at(example, "value"))
		used[fmt.Sprintf("%p %s", media, name)] = true
	}
	for _, whole := range []bool{true, false} {
		if body, ok := d.example(media["schema"], whole, nil, used); ok && !slices.ContainsFunc(bodies, func(other any) bool { return cmp.Equal(other, body) }) {
			bodies = append(bodies, body)
		}
	}
	return bodies
}

// missing lists the members of a JSON value that a message lacks or has with another value.
func missing(value any, m protoreflect.Message) []string {
	if m.Descriptor().FullName().Parent() == "google.protobuf" {
		text, err := protojson.Marshal(m.Interface())
		if err != nil {
			return []string{err.Error()}
		}
		if !sameValue(value, decodeJSON(string(text))) {
			return []string{" is " + string(text)}
		}
		return nil
	}
	var fields []protoreflect.FieldDescriptor
	for i := range m.Descriptor().Fields().Len() {
		fields = append(fields, m.Descriptor().Fields().Get(i))
	}
	object, isObject := value.(map[string]any)
	if !isObject {
		for _, fd := range fields {
			if transcode.FieldOptions(fd).GetRoot() && m.Has(fd) && len(missingInField(value, fd, m.Get(fd))) == 0 {
				return nil
			}
		}
		return []string{" is not there"}
	}
	var paths []string
	for name, v := range object {
		if v == nil {
			continue
		}
		lacking := []string{" is not there"}
		for _, fd := range fields {
			names := append([]string{transcode.WireName(fd)}, transcode.FieldOptions(fd).GetOtherNames()...)
			if !slices.Contains(names, name) || !m.Has(fd) && !isEmpty(v) {
				continue
			}
			if lacking = missingInField(v, fd, m.Get(fd)); len(lacking) == 0 {
				break
			}
		}
		for _, path := range lacking {
			paths = append(paths, "."+name+path)
		}
	}
	return paths
}

// isEmpty reports whether a value leaves nothing on the wire.
func isEmpty(v any) bool {
	switch v := v.(type) {
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	default:
		return false
	}
}

func missingInField(value any, fd protoreflect.FieldDescriptor, v protoreflect.Value) []string {
	switch {
	case fd.IsMap():
		object, isObject := value.(map[string]any)
		if !isObject || v.Map().Len() != len(object) {
			return []string{" has other keys"}
		}
		var paths []string
		for key, value := range object {
			paths = append(paths, missingInValue(value, fd.MapValue(), v.Map().Get(protoreflect.ValueOfString(key).MapKey()))...)
		}
		return paths
	case fd.IsList():
		list, isList := value.([]any)
		if !isList || v.List().Len() != len(list) {
			return []string{" has other entries"}
		}
		var paths []string
		for i, value := range list {
			paths = append(paths, missingInValue(value, fd, v.List().Get(i))...)
		}
		return paths
	default:
		return missingInValue(value, fd, v)
	}
}

func missingInValue(value any, fd protoreflect.FieldDescriptor, v protoreflect.Value) []string {
	if fd.Message() != nil {
		if !v.Message().IsValid() && !isEmpty(value) {
			return []string{" is not there"}
		}
		return missing(value, v.Message())
	}
	if !v.IsValid() || !sameValue(value, v.Interface()) {
		return []string{fmt.Sprintf(" is %v", v)}
	}
	return nil
}

// sameValue compares JSON values: numbers by value, and a number with a text by what the text says.
func sameValue(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, b, sameValue)
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, sameValue)
	case nil:
		return b == nil
	case json.Number:
		x, xOK := new(big.Rat).SetString(a.String())
		y, yOK := new(big.Rat).SetString(fmt.Sprint(b))
		return xOK && yOK && x.Cmp(y) == 0
	default:
		return fmt.Sprint(a) == fmt.Sprint(b)
	}
}

// decodeJSON decodes a JSON value and keeps the text of its numbers.
func decodeJSON(text string) any {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return err
	}
	return value
}

// samsara returns Samsara's document; nil if the environment names none.
func samsara(t *testing.T) document {
	t.Helper()
	spec := os.Getenv("SAMSARA_OPENAPI") // set by the makefile
	if spec == "" {
		return nil
	}
	text, err := os.ReadFile(spec)
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var d document
	if err := errors.Join(err, decoder.Decode(&d)); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestExamples_responses reads every example of a response that Samsara's document has.
func TestExamples_responses(t *testing.T) {
	t.Parallel()
	d := samsara(t)
	if d == nil {
		return
	}
	endpoints, err := endpoint.Load(protoregistry.GlobalFiles, protoregistry.GlobalTypes)
	if err != nil {
		t.Fatal(err)
	}
	var operations, bodies, whole int
	examples := map[string]bool{}
	for _, e := range endpoints {
		operation := d.at(map[string]any(d), "paths", e.Operation.GetPath(), strings.ToLower(e.HTTPMethod))
		if operation == nil {
			t.Errorf("%s is not in the document", e.FullMethod)
		}
		var of []any
		responses, _ := d.at(operation, "responses").(map[string]any)
		for status, response := range responses {
			if strings.HasPrefix(status, "2") && status != "204" { // A 204 has no body, whatever the document declares.
				of = append(of, d.examples(response, examples)...)
			}
		}
		if len(of) > 0 {
			operations++
		}
		for _, body := range of {
			bodies++
			text, err := json.Marshal(body)
			if err != nil {
				t.Fatal(err)
			}
			var drift transcode.Drift
			wire, err := e.Response.Append(nil, text, &drift)
			if err != nil {
				t.Errorf("%s: %v in %.200s", e.FullMethod, err, text)
				continue
			}
			m := dynamicpb.NewMessage(e.Method.Output())
			if err := proto.Unmarshal(wire, m); err != nil {
				t.Errorf("%s: %v in %.200s", e.FullMethod, err, text)
				continue
			}
			if lacking := missing(body, m); len(lacking) > 0 || len(drift.Findings()) > 0 {
				t.Errorf("%s: %v, drift %v, of %.300s", e.FullMethod, lacking, drift.Findings(), text)
				continue
			}
			whole++
		}
	}
	t.Logf("%d examples in %d bodies of %d operations, %d read whole", len(examples), bodies, operations, whole)
}

// bodyDecoder returns a decoder that reads the body of a request into the body fields of its message.
func bodyDecoder(t *testing.T, e *endpoint.Endpoint) *transcode.Decoder {
	t.Helper()
	file := protodesc.ToFileDescriptorProto(e.Method.Input().ParentFile())
	for _, m := range file.GetMessageType() {
		if m.GetName() == string(e.Method.Input().Name()) {
			m.Field = slices.DeleteFunc(m.GetField(), func(f *descriptorpb.FieldDescriptorProto) bool {
				return !slices.ContainsFunc(e.BodyFields, func(fd protoreflect.FieldDescriptor) bool { return int32(fd.Number()) == f.GetNumber() })
			})
			for _, f := range m.GetField() { // Fields that are gone leave no oneofs behind.
				f.Proto3Optional, f.OneofIndex = nil, nil
			}
			m.OneofDecl = nil
		}
	}
	linked, err := protodesc.NewFile(file, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	var compiler transcode.Compiler
	decoder, err := compiler.Decoder(linked.Messages().ByName(e.Method.Input().Name()))
	if err != nil {
		t.Fatal(err)
	}
	return decoder
}

// TestExamples_requests writes every example of a request that Samsara's document has.
func TestExamples_requests(t *testing.T) {
	t.Parallel()
	d := samsara(t)
	if d == nil {
		return
	}
	endpoints, err := endpoint.Load(protoregistry.GlobalFiles, protoregistry.GlobalTypes)
	if err != nil {
		t.Fatal(err)
	}
	var compiler transcode.Compiler
	var operations, bodies, whole int
	examples := map[string]bool{}
	differing := map[string]int{}
	for _, e := range endpoints {
		of := d.examples(d.at(map[string]any(d), "paths", e.Operation.GetPath(), strings.ToLower(e.HTTPMethod), "requestBody"), examples)
		if len(of) == 0 {
			continue
		}
		operations++
		encoder, err := compiler.Encoder(e.Method.Input(), e.BodyFields)
		if err != nil {
			t.Fatal(err)
		}
		decoder := bodyDecoder(t, e)
		for _, body := range of {
			bodies++
			text, err := json.Marshal(body)
			if err != nil {
				t.Fatal(err)
			}
			var drift transcode.Drift
			wire, err := decoder.Append(nil, text, &drift)
			m := dynamicpb.NewMessage(e.Method.Input())
			if err := errors.Join(err, proto.Unmarshal(wire, m)); err != nil {
				t.Errorf("%s: %v in %.200s", e.FullMethod, err, text)
				continue
			}
			written, err := encoder.Append(nil, m, nil)
			if err != nil {
				t.Errorf("%s: %v", e.FullMethod, err)
				continue
			}
			if sameValue(body, decodeJSON(string(written))) && len(drift.Findings()) == 0 {
				whole++
				continue
			}
			differing[e.FullMethod]++
			t.Logf("%s: drift %v, written %.400s, want %.400s", e.FullMethod, drift.Findings(), written, text)
		}
	}
	t.Logf("%d examples in %d bodies of %d operations, %d written whole", len(examples), bodies, operations, whole)
	if diff := cmp.Diff(map[string]int{
		// An optional list that is empty, which no message holds: it is not sent.
		"/samsara_gateway.qualification_records.v1.QualificationRecordsService/CreateQualificationRecord": 1,
	}, differing); diff != "" {
		t.Errorf("bodies that are written otherwise (-want +got):\n%s", diff)
	}
}
