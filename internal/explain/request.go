package explain

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/transcode"
)

// read sets a message to a text in protobuf's JSON form, or to nothing if the text is empty. An update mask
// may also be an object with the list `paths`, which is what grpcurl prints and takes, and its paths may be
// proto names.
func read(m protoreflect.Message, text []byte) error {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil
	}
	mask := maskField(m.Descriptor())
	var paths []string
	err := checkTexts(text)
	if err == nil && mask != nil && json.Valid(text) { // Otherwise protojson says better what is wrong, and where.
		text, paths, err = cutMask(text, mask)
	}
	if err == nil {
		err = protojson.Unmarshal(text, m.Interface())
	}
	if err != nil {
		// Protojson's texts begin with one of two spaces, so that nobody relies on them.
		reason := strings.TrimLeft(strings.TrimPrefix(err.Error(), "proto:"), " \u00a0")
		return fmt.Errorf("the request is not the JSON of a %s: %s", m.Descriptor().FullName(), reason)
	}
	if len(paths) > 0 {
		set := m.Mutable(mask).Message()
		list := set.Mutable(set.Descriptor().Fields().ByName("paths")).List()
		for _, path := range paths {
			list.Append(protoreflect.ValueOfString(path))
		}
	}
	return nil
}

// maskField returns the update mask of a request, nil if it has none.
func maskField(md protoreflect.MessageDescriptor) protoreflect.FieldDescriptor {
	fields := md.Fields()
	for i := range fields.Len() {
		if fd := fields.Get(i); transcode.FieldOptions(fd).GetIn() == apiv1.Location_LOCATION_UPDATE_MASK {
			return fd
		}
	}
	return nil
}

// cutMask returns the paths of the update mask in a request, and the request with an empty mask instead and
// everything else at the same offset. If the request is no object, it is returned as it is.
func cutMask(request []byte, mask protoreflect.FieldDescriptor) (rest []byte, paths []string, err error) {
	d := json.NewDecoder(bytes.NewReader(request))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return request, nil, err
	}
	rest = slices.Clone(request)
	for d.More() {
		var value json.RawMessage
		name, err := d.Token()
		if err == nil {
			err = d.Decode(&value)
		}
		if err != nil {
			return nil, nil, err
		}
		if name != mask.JSONName() && name != string(mask.Name()) || string(value) == "null" {
			continue
		}
		if paths, err = maskPaths(mask.ContainingMessage(), value); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		end := int(d.InputOffset())
		cut := rest[end-len(value) : end]
		for i := range cut {
			if cut[i] != '\n' {
				cut[i] = ' '
			}
		}
		copy(cut, `""`)
	}
	return rest, paths, nil
}

// maskPaths returns the paths of the update mask of a message in JSON.
func maskPaths(md protoreflect.MessageDescriptor, value []byte) ([]string, error) {
	var text string
	if json.Unmarshal(value, &text) == nil {
		if text = strings.TrimSpace(text); text == "" {
			return nil, nil
		}
		paths := strings.Split(text, ",")
		for i, path := range paths {
			if top, _, _ := strings.Cut(path, "."); md.Fields().ByJSONName(top) == nil {
				paths[i] = protoPath(path)
			}
		}
		return paths, nil
	}
	var object struct {
		Paths []string `json:"paths"`
	}
	d := json.NewDecoder(bytes.NewReader(value))
	d.DisallowUnknownFields()
	if err := d.Decode(&object); err != nil {
		return nil, fmt.Errorf(`is %s, must be a text such as "name,parentTagId" or an object such as {"paths": ["name"]}`, quoted(value))
	}
	return object.Paths, nil
}

// protoPath returns what protobuf makes of a path in a text: each capital letter becomes an underscore and
// the small letter. A path that has underscores has proto names already.
func protoPath(path string) string {
	if strings.Contains(path, "_") {
		return path
	}
	var b strings.Builder
	for _, r := range path {
		if 'A' <= r && r <= 'Z' {
			b.WriteByte('_')
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// maxDepth is how deep protojson reads.
const maxDepth = 10_000

// checkTexts refuses JSON with a string that is no text, because protojson would not name it. Protojson
// reports everything else that is wrong.
func checkTexts(request []byte) error {
	s := texts{request: request, decoder: json.NewDecoder(bytes.NewReader(request))}
	s.value("", 0)
	return s.fault
}

// texts looks at each string of a request.
type texts struct {
	request []byte
	decoder *json.Decoder
	// fault is what is wrong with the first string that is no text.
	fault error
}

// value reads a value, and reports whether to go on.
func (s *texts) value(path string, depth int) bool {
	t, ok := s.token(path)
	open, isDelim := t.(json.Delim)
	if !ok || depth > maxDepth {
		return false
	}
	for i := 0; isDelim && s.decoder.More(); i++ {
		inner := fmt.Sprintf("%s[%d]", path, i)
		if open == '{' {
			name, ok := s.token(path)
			if !ok {
				return false
			}
			inner = strings.TrimPrefix(fmt.Sprintf("%s.%v", path, name), ".")
		}
		if !s.value(inner, depth+1) {
			return false
		}
	}
	if isDelim {
		_, ok = s.token(path) // the end
	}
	return ok
}

// token reads a token, and reports whether to go on.
func (s *texts) token(path string) (json.Token, bool) {
	from := s.decoder.InputOffset()
	t, err := s.decoder.Token()
	if _, isText := t.(string); err != nil || !isText {
		return t, err == nil
	}
	raw := s.request[from:s.decoder.InputOffset()]
	raw = raw[bytes.IndexByte(raw, '"'):]
	rule := ""
	switch half := halfPair(raw); {
	case half != "":
		rule = "must not have half of a surrogate pair, which is no character: " + half
	case !utf8.Valid(raw):
		rule = "must be valid UTF-8"
	default:
		return t, true
	}
	if path == "" {
		path = "a member's name"
	}
	s.fault = fmt.Errorf("%s: is %s, %s", path, quoted(raw), rule)
	return nil, false
}

// halfPair returns the first escape in a JSON string that is half of a surrogate pair without the other.
func halfPair(raw []byte) string {
	for i := 0; i+1 < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		r := escaped(raw[i:])
		switch {
		case !utf16.IsSurrogate(r):
		case utf16.DecodeRune(r, escaped(raw[i+escapeBytes:])) == utf8.RuneError:
			return string(raw[i : i+escapeBytes])
		default:
			i += escapeBytes // The loop passes over the other half.
		}
		i++
	}
	return ""
}

// escapeBytes is the length of an escape such as \ud800.
const escapeBytes = 6

// escaped returns the UTF-16 code unit of an escape that raw begins with, 0 if it begins with none.
func escaped(raw []byte) rune {
	if len(raw) < escapeBytes || raw[0] != '\\' || raw[1] != 'u' {
		return 0
	}
	unit, _ := strconv.ParseUint(string(raw[2:escapeBytes]), 16, 16)
	return rune(unit)
}

// quoted returns an excerpt of a request as errors show it: cut, and without unprintable characters.
func quoted(raw []byte) string {
	const most = 64
	text, rest := string(raw), ""
	if len(raw) > most {
		text, rest = text[:most], "..."
	}
	return strings.Map(func(r rune) rune {
		if strconv.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(text, "\uFFFD")) + rest
}
