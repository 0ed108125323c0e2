package transcode_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/structpb"

	_ "samsara.internal/gateway/gen"
	"samsara.internal/gateway/internal/transcode"
)

// responses returns the response messages of all operations of the REST API.
func responses() []protoreflect.MessageDescriptor {
	var messages []protoreflect.MessageDescriptor
	seen := map[protoreflect.FullName]bool{}
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if !strings.HasPrefix(string(file.Package()), "samsara_gateway.") || file.Package() == "samsara_gateway.api.v1" {
			return true
		}
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				if md := methods.Get(j).Output(); !methods.Get(j).IsStreamingServer() && !seen[md.FullName()] {
					seen[md.FullName()] = true
					messages = append(messages, md)
				}
			}
		}
		return true
	})
	return messages
}

func TestDecoder_roundTripOfEveryResponse(t *testing.T) {
	t.Parallel()
	messages := responses()
	if len(messages) < 300 {
		t.Fatalf("response messages = %d, want those of all operations", len(messages))
	}
	var compiler transcode.Compiler
	for _, md := range messages {
		d, err := compiler.Decoder(md)
		if err != nil {
			t.Errorf("compile: %v", err)
			continue
		}
		t.Run(string(md.FullName()), func(t *testing.T) {
			t.Parallel()
			var values filler
			want := values.message(md, 0)
			document, err := json.Marshal(want)
			if err != nil {
				t.Fatalf("marshal: %v", err)
			}
			var drift transcode.Drift
			wire, err := d.Append(nil, document, &drift)
			if err != nil {
				t.Fatalf("Append: %v", err)
			}
			generated, err := protoregistry.GlobalTypes.FindMessageByName(md.FullName())
			if err != nil {
				t.Fatalf("find type: %v", err)
			}
			m := generated.New()
			if err := proto.Unmarshal(wire, m.Interface()); err != nil {
				t.Fatalf("wire form does not parse: %v", err)
			}
			if got := treeOf(m); !reflect.DeepEqual(want, got) {
				t.Errorf("JSON (-sent +read back):\n%s", cmp.Diff(want, got))
			}
			if len(drift.Findings()) != 0 {
				t.Errorf("findings = %v, want none", drift.Findings())
			}
			if err := transcode.Valid(document); err != nil {
				t.Errorf("Valid: %v", err)
			}
		})
	}
}

// All Values of the surface have the whole room of MaxValueDepth.
func TestDecoder_freeFormInOtherLanguages(t *testing.T) {
	t.Parallel()
	for _, md := range responses() {
		if around := aroundValue(md); around > 0 && around+3*transcode.MaxValueDepth > transcode.MaxDepth {
			t.Errorf("%s has a Value with %d arrays and objects around it", md.FullName(), around)
		}
	}
}

// aroundValue returns how many arrays and objects are around the deepest Value in md, 0 if it has none.
func aroundValue(md protoreflect.MessageDescriptor) int {
	deepest := 0
	for _, fd := range planOf(md).fields {
		around := 1
		if fd.IsList() || fd.IsMap() {
			around++
		}
		if fd.IsMap() {
			fd = fd.MapValue()
		}
		switch {
		case isMessage(fd) && aroundValue(fd.Message()) > 0:
			deepest = max(deepest, around+aroundValue(fd.Message()))
		case fd.Message() != nil && !isMessage(fd):
			deepest = max(deepest, around)
		}
	}
	return deepest
}

// filler makes JSON values, each different from the one before.
type filler struct{ n int64 }

// deepest bounds messages that hold themselves.
const deepest = 20

// message returns JSON for md with every field set.
func (v *filler) message(md protoreflect.MessageDescriptor, depth int) any {
	if fd := onlyRoot(md); fd != nil {
		return v.field(fd, depth)
	}
	object := map[string]any{}
	for i := range md.Fields().Len() {
		if fd := md.Fields().Get(i); depth < deepest && !transcode.FieldOptions(fd).GetRetired() {
			object[transcode.WireName(fd)] = v.field(fd, depth)
		}
	}
	return object
}

func (v *filler) field(fd protoreflect.FieldDescriptor, depth int) any {
	switch {
	case fd.IsMap():
		return map[string]any{"a": v.value(fd.MapValue(), depth), "b\n€": v.value(fd.MapValue(), depth)}
	case fd.IsList():
		return []any{v.value(fd, depth), v.value(fd, depth)}
	default:
		return v.value(fd, depth)
	}
}

func (v *filler) value(fd protoreflect.FieldDescriptor, depth int) any {
	v.n++
	switch fd.Kind() {
	case protoreflect.StringKind:
		return fmt.Sprintf("text %d \"€\"", v.n)
	case protoreflect.Int64Kind:
		return 1<<53 + v.n // more than a double holds
	case protoreflect.DoubleKind:
		return float64(v.n) + 0.25
	case protoreflect.BoolKind:
		return v.n%2 == 0
	case protoreflect.MessageKind:
		switch fd.Message().FullName() {
		case "google.protobuf.Value":
			return []any{map[string]any{"list": []any{float64(v.n), "x", nil}}, "text", float64(v.n) / 4, nil, true}[v.n%5]
		case "google.protobuf.Struct":
			return map[string]any{"n": float64(v.n), "null": nil}
		case "google.protobuf.ListValue":
			return []any{float64(v.n), nil, []any{}}
		default:
			return v.message(fd.Message(), depth+1)
		}
	default:
		return fmt.Sprintf("%s has no value in this test", fd.Kind())
	}
}

// treeOf returns the JSON that m stands for as encoding/json would return it, with whole numbers as int64.
func treeOf(m protoreflect.Message) any {
	switch x := m.Interface().(type) {
	case *structpb.Value:
		return x.AsInterface()
	case *structpb.Struct:
		return x.AsMap()
	case *structpb.ListValue:
		return x.AsSlice()
	}
	if fd := onlyRoot(m.Descriptor()); fd != nil {
		return treeOfField(fd, m.Get(fd))
	}
	object := map[string]any{}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if !transcode.FieldOptions(fd).GetRetired() {
			object[transcode.WireName(fd)] = treeOfField(fd, v)
		}
		return true
	})
	return object
}

func treeOfField(fd protoreflect.FieldDescriptor, v protoreflect.Value) any {
	switch {
	case fd.IsMap():
		object := map[string]any{}
		v.Map().Range(func(key protoreflect.MapKey, v protoreflect.Value) bool {
			object[key.String()] = treeOfValue(v)
			return true
		})
		return object
	case fd.IsList():
		array := []any{}
		for i := range v.List().Len() {
			array = append(array, treeOfValue(v.List().Get(i)))
		}
		return array
	default:
		return treeOfValue(v)
	}
}

func treeOfValue(v protoreflect.Value) any {
	if m, ok := v.Interface().(protoreflect.Message); ok {
		return treeOf(m)
	}
	return v.Interface()
}

// onlyRoot returns the root field of md if md has no other field, else nil.
func onlyRoot(md protoreflect.MessageDescriptor) protoreflect.FieldDescriptor {
	if md.Fields().Len() == 1 && transcode.FieldOptions(md.Fields().Get(0)).GetRoot() {
		return md.Fields().Get(0)
	}
	return nil
}
