package transcode

import (
	"cmp"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	apiv1 "samsara.internal/gateway/gen/api/v1"
)

// FieldOptions returns the gateway's annotation of a field; an empty one if it has none, never nil. It is
// shared: do not change it.
func FieldOptions(fd protoreflect.FieldDescriptor) *apiv1.Field {
	options, ok := proto.GetExtension(fd.Options(), apiv1.E_Field).(*apiv1.Field)
	if !ok || options == nil {
		return &apiv1.Field{}
	}
	return options
}

// Lines groups fields by wire name, in the order of the first field of each. The fields of a line are one
// member, as it was at different times. The newest comes first: the field that is not retired, of which there
// must be one at most, and then the retired ones from the greatest number down.
func Lines(fields []protoreflect.FieldDescriptor) [][]protoreflect.FieldDescriptor {
	var lines [][]protoreflect.FieldDescriptor
	at := map[string]int{}
	for _, fd := range fields {
		i, known := at[WireName(fd)]
		if !known {
			i = len(lines)
			at[WireName(fd)] = i
			lines = append(lines, nil)
		}
		lines[i] = append(lines[i], fd)
	}
	for _, line := range lines {
		slices.SortStableFunc(line, newestFirst)
	}
	return lines
}

func newestFirst(a, b protoreflect.FieldDescriptor) int {
	switch old, other := FieldOptions(a).GetRetired(), FieldOptions(b).GetRetired(); {
	case old && other:
		return cmp.Compare(b.Number(), a.Number())
	case old:
		return 1
	case other:
		return -1
	default:
		return 0
	}
}

// fieldsOf returns the fields of a message as it declares them.
func fieldsOf(md protoreflect.MessageDescriptor) []protoreflect.FieldDescriptor {
	fields := make([]protoreflect.FieldDescriptor, md.Fields().Len())
	for i := range fields {
		fields[i] = md.Fields().Get(i)
	}
	return fields
}

// WireName returns the JSON name of a field: the annotation's name if there is one, else the descriptor's
// json_name. An answer may have the member under other names too, which the annotation lists; requests have
// it under this one alone.
func WireName(fd protoreflect.FieldDescriptor) string {
	if name := FieldOptions(fd).GetName(); name != "" {
		return name
	}
	return fd.JSONName()
}

// otherNames returns the further wire names of a line of fields, under which answers have the member too.
func otherNames(line []protoreflect.FieldDescriptor) (names []string) {
	for _, fd := range line {
		for _, name := range FieldOptions(fd).GetOtherNames() {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}
