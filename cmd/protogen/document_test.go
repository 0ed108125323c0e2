package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bufbuild/protocompile"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"samsara.internal/gateway/cmd/protogen/overlay"
	apiv1 "samsara.internal/gateway/gen/api/v1"
)

// checkDocument walks a document as plain JSON, and the descriptors of a tree beside it: every
// operation, parameter and property must be there with the right type. It shares nothing with
// the generator's own reading of documents. A tree that was first made from another document, with
// has kept, may have types that hold more than they need to.
func checkDocument(t *testing.T, spec, module string, kept bool) {
	t.Helper()
	raw, err := os.ReadFile(spec)
	if err == nil && spec == os.Getenv("SAMSARA_OPENAPI") {
		raw, err = correctedJSON(raw)
	}
	if err != nil {
		t.Fatal(err)
	}
	w := walker{
		T:            t,
		kept:         kept,
		methods:      map[string]protoreflect.MethodDescriptor{},
		twins:        map[protoreflect.FullName]map[apiv1.StreamShape]protoreflect.MethodDescriptor{},
		operations:   map[apiv1.StreamShape]int{},
		wantStanding: map[protoreflect.FullName]bool{},
		options:      map[protoreflect.FieldDescriptor]*apiv1.Field{},
		seen:         map[string]bool{},
		wanted:       map[protoreflect.FieldDescriptor][]string{},
	}
	if err := json.Unmarshal(raw, &w.document); err != nil {
		t.Fatal(err)
	}
	w.index(filepath.Join(module, "proto"))
	for template, item := range w.document.Paths {
		for verb, member := range item {
			if verb != "parameters" {
				w.operation(strings.ToUpper(verb), template, member, item["parameters"])
			}
		}
	}
	t.Logf("operations that page, and feeds: %v", w.operations)
	for _, twins := range w.twins {
		for _, twin := range twins {
			if standing := !deprecated(twin); standing != w.wantStanding[twin.FullName()] {
				t.Errorf("%s is in good standing: %t, want %t", twin.FullName(), standing, !standing)
			}
		}
	}
	for field, wanted := range w.wanted {
		if have := typeOf(field); !slices.Contains(wanted, have) {
			t.Errorf("%s is %s, want %s", field.FullName(), have, strings.Join(wanted, " or "))
		}
	}
}

// correctedJSON is Samsara's document as the committed corrections have it, in JSON.
func correctedJSON(raw []byte) ([]byte, error) {
	corrections, err := os.ReadFile("../../proto/corrections.yaml")
	if err != nil {
		return nil, err
	}
	corrected, err := overlay.Apply(raw, corrections)
	if err := errors.Join(append(corrected.Idle, err)...); err != nil {
		return nil, err
	}
	var value any
	if err := yaml.Unmarshal(corrected.Document, &value); err != nil {
		return nil, err
	}
	return json.Marshal(value)
}

type walker struct {
	*testing.T
	kept     bool
	document struct {
		Paths      map[string]map[string]json.RawMessage
		Components struct {
			Schemas       map[string]jsonSchemaObject
			RequestBodies map[string]content
		}
	}
	methods map[string]protoreflect.MethodDescriptor // by operationId
	// By the full name of their unary method.
	twins        map[protoreflect.FullName]map[apiv1.StreamShape]protoreflect.MethodDescriptor
	operations   map[apiv1.StreamShape]int      // how many ask for a twin of a shape
	wantStanding map[protoreflect.FullName]bool // for the twins that the document asks for
	options      map[protoreflect.FieldDescriptor]*apiv1.Field
	seen         map[string]bool // message and schema
	// What the document wants a field to be. A message that stands for several schemas, because
	// a reference changed, can be right for only one of them.
	wanted map[protoreflect.FieldDescriptor][]string
}

type jsonSchemaObject struct {
	Ref                  string `json:"$ref"`
	Type, Format         string
	Description          string
	Minimum, Maximum     *float64
	Nullable             bool
	Properties           map[string]jsonSchemaObject
	AllOf, OneOf         []jsonSchemaObject
	Items                *jsonSchemaObject
	AdditionalProperties json.RawMessage
}

type content struct {
	Ref      string `json:"$ref"`
	Required bool
	Content  map[string]struct{ Schema jsonSchemaObject }
}

type parameter struct {
	Name, In    string
	Description string
	Required    bool
	Explode     *bool
	Unknown     bool `json:"x-required-unknown"`
	Schema      jsonSchemaObject
}

func (w *walker) index(root string) {
	w.Helper()
	files, err := filepath.Glob(filepath.Join(root, "samsara_gateway/*/*/*.proto"))
	if err != nil {
		w.Fatal(err)
	}
	for i := range files {
		if files[i], err = filepath.Rel(root, files[i]); err != nil {
			w.Fatal(err)
		}
	}
	compiler := protocompile.Compiler{Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{root}})}
	compiled, err := compiler.Compile(w.Context(), files...)
	if err != nil {
		w.Fatal(err)
	}
	for _, file := range compiled {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for i := range methods.Len() {
				if o := annotation(w.T, methods.Get(i)); o.GetPath() != "" {
					if other := w.methods[o.GetId()]; other != nil {
						w.Errorf("%s and %s are both for %s", other.FullName(), methods.Get(i).FullName(), o.GetId())
					}
					w.methods[o.GetId()] = methods.Get(i)
				} else if methods.Get(i).IsStreamingServer() {
					w.indexTwin(methods, methods.Get(i))
				}
			}
		}
	}
}

// indexTwin finds the unary method of a twin, and checks that the twin has its messages.
func (w *walker) indexTwin(methods protoreflect.MethodDescriptors, d protoreflect.MethodDescriptor) {
	stream := streamOf(w.T, d)
	unary := methods.ByName(protoreflect.Name(stream.GetMethod()))
	if unary == nil || d.IsStreamingClient() {
		w.Errorf("%s is a stream of %q, of which there is none", d.FullName(), stream.GetMethod())
		return
	}
	if w.twins[unary.FullName()] == nil {
		w.twins[unary.FullName()] = map[apiv1.StreamShape]protoreflect.MethodDescriptor{}
	}
	w.twins[unary.FullName()][stream.GetShape()] = d
	const own = "samsara_gateway.api.v1."
	name, options, response := "Stream", own+"StreamOptions", "page "+string(unary.Output().FullName())+", cursor string"
	if stream.GetShape() == apiv1.StreamShape_STREAM_SHAPE_FOLLOW {
		name, options, response = "Follow", own+"FollowOptions", response+", keep_alive "+own+"KeepAlive"
	}
	if !strings.HasPrefix(string(d.Name()), name) {
		w.Errorf("%s has the shape %s", d.FullName(), stream.GetShape())
	}
	if have, want := fieldsOf(d.Input()), "request "+string(unary.Input().FullName())+", options "+options; have != want {
		w.Errorf("%s has %s, want %s", d.Input().FullName(), have, want)
	}
	if have := fieldsOf(d.Output()); have != response {
		w.Errorf("%s has %s, want %s", d.Output().FullName(), have, response)
	}
}

// fieldsOf lists the names and types of a message's fields, which must be numbered from 1.
func fieldsOf(m protoreflect.MessageDescriptor) string {
	var all []string
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		kind := f.Kind().String()
		if f.Message() != nil {
			kind = string(f.Message().FullName())
		}
		if int(f.Number()) != i+1 {
			kind += fmt.Sprintf(" = %d", f.Number())
		}
		all = append(all, string(f.Name())+" "+kind)
	}
	return strings.Join(all, ", ")
}

// paging checks that an operation that pages has its twins, and says where the records of a page are.
func (w *walker) paging(d protoreflect.MethodDescriptor, template string, parameters []parameter, noFeed bool) {
	has := func(names ...string) bool {
		return slices.ContainsFunc(parameters, func(p parameter) bool { return slices.Contains(names, p.Name) })
	}
	var shapes []apiv1.StreamShape
	if has("after", "startingAfter", "endingBefore", "pageNumber") {
		shapes = append(shapes, apiv1.StreamShape_STREAM_SHAPE_PAGES)
	}
	if last := path.Base(template); has("after") && (last == "feed" || last == "stream") && !noFeed {
		shapes = append(shapes, apiv1.StreamShape_STREAM_SHAPE_FOLLOW)
	}
	for _, shape := range shapes {
		w.operations[shape]++
		if twin := w.twins[d.FullName()][shape]; twin != nil {
			w.wantStanding[twin.FullName()] = !deprecated(d)
		} else {
			w.Errorf("%s has no twin of the shape %s", d.FullName(), shape)
		}
		w.items(d)
	}
}

// endRequired checks that an end must be set exactly if the document says in one location that polling
// goes on without it, and in another that it is now.
func (w *walker) endRequired(d protoreflect.MethodDescriptor, prose string, parameters []parameter) {
	now := slices.ContainsFunc(parameters, func(p parameter) bool {
		return p.Name == "endTime" && strings.Contains(p.Description, "efaults to now")
	})
	want := now && strings.Contains(prose, "include an endTime") && strings.Contains(prose, "poll")
	for shape, twin := range w.twins[d.FullName()] {
		pages := shape == apiv1.StreamShape_STREAM_SHAPE_PAGES
		if have := streamOf(w.T, twin).GetEndRequired(); have != (want && pages) {
			w.Errorf("%s requires an end: %t, want %t", twin.FullName(), have, want && pages)
		}
	}
}

// items checks that a method says where a page's records are.
func (w *walker) items(d protoreflect.MethodDescriptor) {
	in := d.Output()
	names := strings.Split(annotation(w.T, d).GetItems(), ".")
	for i, name := range names {
		f := in.Fields().ByName(protoreflect.Name(name))
		if f == nil || f.IsList() != (i == len(names)-1) {
			w.Errorf("%s has its records in %q, which is no path to a list", d.FullName(), names)
			return
		}
		in = f.Message()
	}
}

func (w *walker) operation(verb, template string, raw, shared json.RawMessage) {
	var op struct {
		OperationID string
		Description string
		Deprecated  bool
		Absent      any   `json:"x-absent-from"`
		Feed        *bool `json:"x-feed"`
		Parameters  []parameter
		RequestBody content
		Responses   map[string]content
	}
	var parameters []parameter
	if err := json.Unmarshal(raw, &op); err != nil {
		w.Fatal(err)
	}
	if shared != nil {
		if err := json.Unmarshal(shared, &parameters); err != nil {
			w.Fatal(err)
		}
	}
	parameters = slices.Concat(parameters, op.Parameters)
	d := w.methods[op.OperationID]
	if d == nil {
		w.Errorf("%s %s has no method", verb, template)
		return
	}
	if o := annotation(w.T, d); o.GetMethod().String() != "HTTP_METHOD_"+verb || o.GetPath() != template {
		w.Errorf("%s has the path %s %s, want %s %s", d.FullName(), o.GetMethod(), o.GetPath(), verb, template)
	}
	if want := op.Deprecated || op.Absent != nil; deprecated(d) != want {
		w.Errorf("%s is deprecated: %t, want %t", d.FullName(), !want, want)
	}
	for _, p := range parameters {
		w.parameter(d.Input(), p)
	}
	if body, ok := w.content(op.RequestBody); ok {
		w.body(d.Input(), body, apiv1.Location_LOCATION_BODY)
		if f := w.field(d.Input(), "updateMask", apiv1.Location_LOCATION_UPDATE_MASK); (f != nil) != (verb == "PATCH" || verb == "PUT") {
			w.Errorf("%s has the update mask %v", d.Input().FullName(), f)
		}
	}
	w.idempotency(d, verb, op.OperationID)
	for code, response := range op.Responses {
		if strings.HasPrefix(code, "2") {
			if body, ok := w.content(response); ok && code == "204" {
				w.empty(d.Output())
			} else if ok {
				w.body(d.Output(), body, apiv1.Location_LOCATION_UNSPECIFIED)
			}
			if o := annotation(w.T, d); fmt.Sprint(o.GetSuccessStatus()) != code {
				w.Errorf("%s has the status %d, want %s", d.FullName(), o.GetSuccessStatus(), code)
			}
		}
	}
	w.paging(d, template, parameters, op.Feed != nil)
	w.endRequired(d, op.Description, parameters)
}

func (w *walker) parameter(in protoreflect.MessageDescriptor, p parameter) {
	location := map[string]apiv1.Location{"path": apiv1.Location_LOCATION_PATH, "query": apiv1.Location_LOCATION_QUERY}[p.In]
	f := w.want(in, p.Name, location, p.Schema)
	if f == nil {
		return
	}
	options := w.fieldOptions(f)
	prose := strings.ToLower(p.Description + p.Schema.Description)
	if p.In == "query" && w.typ(p.Name, p.Schema) == "string" {
		if strings.Contains(prose, "comma-separated") || strings.Contains(prose, "comma separated") {
			w.prefer(f, "repeated string")
			p.Explode = new(bool)
		} else if w.kept && f.IsList() {
			w.wants(f, "repeated string")
			p.Explode = new(bool)
		}
	}
	if want := p.Required && !p.Unknown; options.GetRequired() != want {
		w.Errorf("%s is required: %t, want %t", f.FullName(), options.GetRequired(), want)
	}
	style := apiv1.ArrayStyle_ARRAY_STYLE_UNSPECIFIED
	switch {
	case f.IsList() && p.Explode != nil && !*p.Explode:
		style = apiv1.ArrayStyle_ARRAY_STYLE_COMMA
	case f.IsList():
		style = apiv1.ArrayStyle_ARRAY_STYLE_REPEAT
	}
	if options.GetArrayStyle() != style {
		w.Errorf("%s has the style %s, want %s", f.FullName(), options.GetArrayStyle(), style)
	}
}

// body checks that a message holds a whole body.
func (w *walker) body(in protoreflect.MessageDescriptor, body jsonSchemaObject, location apiv1.Location) {
	if len(w.properties(body)) > 0 {
		w.members(in, body, location)
		return
	}
	for i := range in.Fields().Len() {
		f := in.Fields().Get(i)
		if o := w.fieldOptions(f); o.GetRoot() && !o.GetRetired() && o.GetIn() == location {
			w.wants(f, w.typ("", body))
			w.below(f, body)
			return
		}
	}
	w.Errorf("%s has no root field", in.FullName())
}

func (w *walker) members(in protoreflect.MessageDescriptor, s jsonSchemaObject, location apiv1.Location) {
	for name, property := range w.properties(s) {
		w.want(in, name, location, property)
	}
}

// want finds the field for a property and checks what is below it.
func (w *walker) want(in protoreflect.MessageDescriptor, name string, location apiv1.Location, s jsonSchemaObject) protoreflect.FieldDescriptor {
	f := w.field(in, name, location)
	if f == nil {
		w.Errorf("%s has no field for %q in %s", in.FullName(), name, location)
		return nil
	}
	w.wants(f, w.typ(name, s))
	most := w.resolve(s).Maximum
	if location != apiv1.Location_LOCATION_UNSPECIFIED && w.typ(name, s) == "int64" &&
		(most != nil && *most < 1<<31 || most == nil && name == "limit" && location == apiv1.Location_LOCATION_QUERY) {
		w.prefer(f, "int32")
	}
	w.below(f, s)
	return f
}

// prefer has a field be of another type than the document says, or, if the tree is kept, of either.
func (w *walker) prefer(f protoreflect.FieldDescriptor, want string) {
	if !w.kept {
		w.wanted[f] = nil
	}
	w.wants(f, want)
}

// empty checks that a message has no fields, or none that are still used.
func (w *walker) empty(m protoreflect.MessageDescriptor) {
	for i := range m.Fields().Len() {
		if f := m.Fields().Get(i); !w.fieldOptions(f).GetRetired() {
			w.Errorf("%s is a field of an answer without a body", f.FullName())
		}
	}
}

// idempotency checks what an operation and its streams say of theirs.
func (w *walker) idempotency(d protoreflect.MethodDescriptor, verb, id string) {
	want := descriptorpb.MethodOptions_IDEMPOTENCY_UNKNOWN
	id = strings.TrimPrefix(id, "V1")
	switch {
	case verb == "GET", verb == "POST" && (strings.HasPrefix(id, "get") || strings.HasPrefix(id, "list")):
		want = descriptorpb.MethodOptions_NO_SIDE_EFFECTS
	case verb == "PUT", verb == "DELETE":
		want = descriptorpb.MethodOptions_IDEMPOTENT
	}
	if got := idempotencyOf(w.T, d); got != want {
		w.Errorf("%s says %s, want %s", d.FullName(), got, want)
	}
	for _, twin := range w.twins[d.FullName()] {
		if got := idempotencyOf(w.T, twin); got != descriptorpb.MethodOptions_NO_SIDE_EFFECTS {
			w.Errorf("%s says %s, want NO_SIDE_EFFECTS", twin.FullName(), got)
		}
	}
}

func idempotencyOf(t *testing.T, d protoreflect.MethodDescriptor) descriptorpb.MethodOptions_IdempotencyLevel {
	t.Helper()
	var options descriptorpb.MethodOptions
	if err := reparse(d, &options); err != nil {
		t.Fatal(err)
	}
	return options.GetIdempotencyLevel()
}

func (w *walker) wants(f protoreflect.FieldDescriptor, want string) {
	w.wanted[f] = append(w.wanted[f], want)
}

// below follows a field into its message.
func (w *walker) below(f protoreflect.FieldDescriptor, s jsonSchemaObject) {
	value := f
	if f.IsMap() {
		value = f.MapValue()
	}
	if value.Message() == nil || value.Message().ParentFile().Package() == "google.protobuf" {
		return
	}
	s = w.resolve(s)
	switch {
	case f.IsList() && s.Items != nil:
		s = w.resolve(*s.Items)
	case f.IsMap() && !isTrue(s.AdditionalProperties):
		s = w.resolve(w.values(s))
	}
	text, err := json.Marshal(s)
	if err != nil {
		w.Fatal(err)
	}
	key := string(value.Message().FullName()) + string(text)
	if w.seen[key] {
		return
	}
	w.seen[key] = true
	w.body(value.Message(), s, apiv1.Location_LOCATION_UNSPECIFIED)
}

// field finds the one field for a wire name.
func (w *walker) field(in protoreflect.MessageDescriptor, wire string, location apiv1.Location) protoreflect.FieldDescriptor {
	var found protoreflect.FieldDescriptor
	for i := range in.Fields().Len() {
		f := in.Fields().Get(i)
		o := w.fieldOptions(f)
		name := f.JSONName()
		if o.GetName() != "" {
			name = o.GetName()
		}
		if name != wire || o.GetIn() != location || o.GetRetired() {
			continue
		}
		if found != nil {
			w.Errorf("%s and %s are both for %q", found.FullName(), f.FullName(), wire)
		}
		found = f
	}
	return found
}

// typ is the type the house rules give a property.
func (w *walker) typ(name string, s jsonSchemaObject) string {
	s = w.resolve(s)
	switch {
	case s.Type == "array":
		element := w.element(*s.Items)
		if w.resolve(*s.Items).Nullable && strings.ToLower(element) == element {
			element = "message" // so that an entry can be null; the names of scalars are in lower case
		}
		return "repeated " + element
	case len(w.properties(s)) > 0:
		return "message"
	case len(s.AdditionalProperties) > 0 && !isTrue(s.AdditionalProperties):
		return "map " + w.element(w.values(s))
	}
	element := w.element(s)
	if element == "Value" && strings.HasSuffix(strings.ToLower(name), "externalids") {
		return "map string"
	}
	return element
}

func (w *walker) element(s jsonSchemaObject) string {
	s = w.resolve(s)
	switch {
	case s.Type == "array" && w.element(*s.Items) == "Value":
		return "ListValue"
	case s.Type == "array", len(w.properties(s)) > 0:
		return "message"
	case s.Type == "string", slices.ContainsFunc(s.OneOf, func(member jsonSchemaObject) bool { return member.Type == "string" }):
		return "string"
	case s.Type == "boolean":
		return "bool"
	case s.Type == "integer" && s.Format != "float" && s.Format != "float64" && s.Format != "double",
		s.Type == "number" && (s.Format == "int32" || s.Format == "int64"):
		return "int64"
	case s.Type == "integer", s.Type == "number":
		return "double"
	}
	return "Value"
}

func (w *walker) resolve(s jsonSchemaObject) jsonSchemaObject {
	for s.Ref != "" || len(s.AllOf) == 1 {
		if s.Ref != "" {
			s = w.document.Components.Schemas[path.Base(s.Ref)]
		} else {
			s = s.AllOf[0]
		}
	}
	return s
}

func (w *walker) properties(s jsonSchemaObject) map[string]jsonSchemaObject {
	s = w.resolve(s)
	all := maps.Clone(s.Properties)
	for _, member := range s.AllOf {
		if all == nil {
			all = map[string]jsonSchemaObject{}
		}
		maps.Copy(all, w.properties(member))
	}
	return all
}

func (w *walker) values(s jsonSchemaObject) jsonSchemaObject {
	var values jsonSchemaObject
	if err := json.Unmarshal(s.AdditionalProperties, &values); err != nil {
		w.Fatal(err)
	}
	return values
}

func isTrue(raw json.RawMessage) bool { return string(raw) == "true" }

func (w *walker) content(c content) (jsonSchemaObject, bool) {
	if c.Ref != "" {
		c = w.document.Components.RequestBodies[path.Base(c.Ref)]
	}
	media, ok := c.Content["application/json"]
	return media.Schema, ok
}

// typeOf is the type of a field in the words of walker.typ.
func typeOf(f protoreflect.FieldDescriptor) string {
	switch {
	case f.IsMap():
		return "map " + valueType(f.MapValue())
	case f.IsList():
		return "repeated " + valueType(f)
	case f.Message() == nil && !f.HasOptionalKeyword():
		return "without presence"
	}
	return valueType(f)
}

func valueType(f protoreflect.FieldDescriptor) string {
	switch {
	case f.Message() == nil:
		return f.Kind().String()
	case f.Message().ParentFile().Package() == "google.protobuf":
		return string(f.Message().Name())
	}
	return "message"
}

func annotation(t *testing.T, d protoreflect.MethodDescriptor) *apiv1.Operation {
	t.Helper()
	var options descriptorpb.MethodOptions
	if err := reparse(d, &options); err != nil {
		t.Fatal(err)
	}
	operation, ok := proto.GetExtension(&options, apiv1.E_Operation).(*apiv1.Operation)
	if !ok {
		t.Fatalf("%s has an annotation of another type", d.FullName())
	}
	return operation
}

func streamOf(t *testing.T, d protoreflect.MethodDescriptor) *apiv1.Stream {
	t.Helper()
	var options descriptorpb.MethodOptions
	if err := reparse(d, &options); err != nil {
		t.Fatal(err)
	}
	stream, ok := proto.GetExtension(&options, apiv1.E_Stream).(*apiv1.Stream)
	if !ok {
		t.Fatalf("%s has an annotation of another type", d.FullName())
	}
	return stream
}

func deprecated(d protoreflect.MethodDescriptor) bool {
	options, ok := d.Options().(*descriptorpb.MethodOptions)
	return ok && options.GetDeprecated()
}

func (w *walker) fieldOptions(d protoreflect.FieldDescriptor) *apiv1.Field {
	if w.options[d] == nil {
		var options descriptorpb.FieldOptions
		if err := reparse(d, &options); err != nil {
			w.Fatal(err)
		}
		w.options[d] = &apiv1.Field{}
		if value, ok := proto.GetExtension(&options, apiv1.E_Field).(*apiv1.Field); ok && value != nil {
			w.options[d] = value
		}
	}
	return w.options[d]
}

// reparse reads a descriptor's options again so that extensions are of their generated types.
func reparse(d protoreflect.Descriptor, into proto.Message) error {
	raw, err := proto.Marshal(d.Options())
	if err != nil {
		return err
	}
	return proto.Unmarshal(raw, into)
}
