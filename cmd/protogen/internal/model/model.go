package model

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"samsara.internal/gateway/cmd/protogen/internal/document"
	"samsara.internal/gateway/cmd/protogen/overlay"
	apiv1 "samsara.internal/gateway/gen/api/v1"
)

// ErrUnsupported is wrapped in every error for a document that cannot be expressed without loss.
var ErrUnsupported = errors.New("not supported")

// Operation is what the document says of one operation.
type Operation struct {
	document.Location
	Package           Package
	Annotation        *apiv1.Operation
	Request, Response Definition
	Deprecated        bool
	Feed              FeedFacts
	// MayBeTooLarge is whether the document declares that Samsara may answer 413.
	MayBeTooLarge bool
	// NoFeed is whether a correction says that the operation never was the feed that it looks like.
	NoFeed bool
	// Records is the path to the list of a page's records: the wire names from the response on. It counts
	// only if there are Shapes.
	Records []string
	// Unstreamable is why the operation pages but its pages cannot be streamed; nil if they can.
	Unstreamable error
	// idle has an error for each of its corrections that say what the document already says.
	idle []error
	// answer is the schema of the answer's body, nil if there is none.
	answer *document.Schema
}

// Definition is what the document says of one message: a request, a response or a schema. Its key
// identifies it.
type Definition struct {
	Key    string
	Fields []Property
}

// Property is a parameter, a member of a body, or a member of an object. Options lacks only the
// name.
type Property struct {
	Wire       string
	Shape      Shape
	Options    *apiv1.Field
	Notes      Notes
	Deprecated bool
}

// Notes are facts of a property that only the comment of its field states.
type Notes struct {
	CommaSeparated   bool
	UnixMilliseconds bool
	NullEntries      bool // of a list whose entries may be null
}

// Shape is how a schema appears as a field.
type Shape struct {
	Label Label
	Kind  Kind
	of    schema // the one behind a message of the tree
}

// Key returns the key of the schema behind a message; empty if the shape has no message.
func (s Shape) Key() string { return s.of.key }

// Definition returns the definition of the shape's message.
func (s Shape) Definition() Definition {
	switch s.Kind {
	case KindWrapper:
		return Definition{s.of.key, []Property{rootProperty("values", s.of)}}
	case KindNullable:
		return Definition{s.of.key, []Property{rootProperty("value", s.of)}}
	default:
	}
	return Definition{s.of.key, s.of.properties()}
}

// Kind is the type of a field's value, or of its elements.
type Kind int

// The kinds that a field can have.
const (
	KindAny           Kind = iota // google.protobuf.Value
	KindList                      // google.protobuf.ListValue
	KindMask                      // google.protobuf.FieldMask
	KindStreamOptions             // samsara_gateway.api.v1.StreamOptions
	KindFollowOptions             // samsara_gateway.api.v1.FollowOptions
	KindKeepAlive                 // samsara_gateway.api.v1.KeepAlive
	KindMessage                   // a message of the tree
	KindWrapper                   // a message of the tree that stands for an array inside a list or map
	KindNullable                  // a message of the tree that stands for a scalar or null inside a list
	KindString
	KindInteger
	KindInt32 // of a request, an integer whose bounds say that 32 bits hold it
	KindNumber
	KindBoolean
)

// Proto returns the kind that a proto file shows.
func (k Kind) Proto() Kind {
	if k == KindWrapper || k == KindNullable {
		return KindMessage
	}
	return k
}

// Name returns the kind's type in a proto file; empty for messages of the tree.
func (k Kind) Name() string {
	switch k {
	case KindAny:
		return "google.protobuf.Value"
	case KindList:
		return "google.protobuf.ListValue"
	case KindMask:
		return "google.protobuf.FieldMask"
	case KindStreamOptions:
		return "samsara_gateway.api.v1.StreamOptions"
	case KindFollowOptions:
		return "samsara_gateway.api.v1.FollowOptions"
	case KindKeepAlive:
		return "samsara_gateway.api.v1.KeepAlive"
	case KindString:
		return "string"
	case KindInteger:
		return "int64"
	case KindInt32:
		return "int32"
	case KindNumber:
		return "double"
	case KindBoolean:
		return "bool"
	case KindMessage, KindWrapper, KindNullable:
	}
	return ""
}

// Scalar reports whether the kind takes the keyword optional.
func (k Kind) Scalar() bool { return !strings.Contains(k.Name(), ".") && k.Name() != "" }

// Label is how many values a field has.
type Label int

// The labels that a field can have.
const (
	Single Label = iota
	List
	Mapping // keys are strings
)

// Compare compares operations by path, method and operationId.
func Compare(a, b *apiv1.Operation) int {
	return cmp.Or(cmp.Compare(a.GetPath(), b.GetPath()), cmp.Compare(a.GetMethod(), b.GetMethod()), cmp.Compare(a.GetId(), b.GetId()))
}

func newOperation(op *document.Operation, stable areas) (Operation, error) {
	verb, template := op.Method, op.Path
	verbNumber, ok := apiv1.HttpMethod_value["HTTP_METHOD_"+verb]
	if !ok {
		return Operation{}, op.Errorf("method %s: %w", verb, ErrUnsupported)
	}
	if op.ID == "" {
		return Operation{}, op.Errorf("operation without operationId: %w", ErrUnsupported)
	}
	in, err := stable.packageOf(op)
	if err != nil {
		return Operation{}, op.Errorf("%w", err)
	}
	var idle []error
	fails := func(err error) bool {
		if errors.Is(err, overlay.ErrIdle) {
			idle = append(idle, err)
			return false
		}
		return err != nil
	}
	limit, err := rateLimit(op)
	if fails(err) {
		return Operation{}, err
	}
	key := verb + " " + template
	status, answer, response, err := readResponse(key, op)
	if fails(err) {
		return Operation{}, err
	}
	parameters, err := readParameters(op)
	if err != nil {
		return Operation{}, err
	}
	body, fields, err := readBody(key, op)
	if err != nil {
		return Operation{}, err
	}
	if body != apiv1.Body_BODY_UNSPECIFIED && (verb == "PATCH" || verb == "PUT") {
		fields = append(fields, updateMask())
	}
	paging := pagination(template, parameters)
	lists := recordLists(response)
	isFeed, noFeed, err := feed(op, paging)
	if fails(err) {
		return Operation{}, err
	}
	return Operation{
		Location:      op.Location,
		Package:       in,
		MayBeTooLarge: slices.ContainsFunc(op.Responses, func(r *document.Response) bool { return r.Status == "413" }),
		Annotation: &apiv1.Operation{
			Id:            op.ID,
			Method:        apiv1.HttpMethod(verbNumber),
			Path:          template,
			Stage:         stageOf(op),
			Body:          body,
			Pagination:    paging,
			Feed:          isFeed,
			Repeatable:    repeatable(verb, op.ID),
			Scope:         scope(op.Description),
			RateLimit:     limit,
			SuccessStatus: status,
		},
		Request:      Definition{key + " request", append(parameters, fields...)},
		Response:     Definition{key + " response", response},
		Deprecated:   op.Deprecated || extension(op.Extensions, "x-absent-from"),
		Feed:         readFeedFacts(isFeed, op),
		Records:      slices.Concat(lists...),
		Unstreamable: unstreamable(op, paging, lists, parameters, response),
		NoFeed:       noFeed,
		idle:         idle,
		answer:       answer,
	}, nil
}

// repeatable reports whether sending a request twice does no more than sending it once: by the rules of
// HTTP, and for a POST if its name says that it only reads.
func repeatable(verb, id string) bool {
	switch verb {
	case "GET", "PUT", "DELETE":
		return true
	case "POST":
		return regexp.MustCompile(`^(?:V1)?(?:get|list)`).MatchString(id)
	}
	return false
}

func pagination(template string, parameters []Property) apiv1.Pagination {
	has := func(wire string) bool {
		return slices.ContainsFunc(parameters, func(p Property) bool { return p.Wire == wire })
	}
	switch {
	case has("after"):
		return apiv1.Pagination_PAGINATION_CURSOR
	case has("startingAfter"), has("endingBefore"):
		return apiv1.Pagination_PAGINATION_BIDIRECTIONAL
	case strings.Contains(template, "{pageNumber}"):
		return apiv1.Pagination_PAGINATION_PAGE_NUMBER
	}
	return apiv1.Pagination_PAGINATION_UNSPECIFIED
}

// readParameters returns the path parameters in the order of the path, then the query
// parameters by name.
func readParameters(op *document.Operation) ([]Property, error) {
	found := map[string]*document.Parameter{}
	for _, p := range op.Parameters {
		found[p.In+" "+p.Name] = p
	}
	if err := checkPath(op); err != nil {
		return nil, err
	}
	var all []Property
	for _, key := range slices.Sorted(maps.Keys(found)) {
		p, err := readParameter(found[key])
		if err != nil {
			return nil, found[key].Errorf("parameter %q: %w", found[key].Name, err)
		}
		all = append(all, p)
	}
	position := func(p Property) int {
		if p.Options.GetIn() == apiv1.Location_LOCATION_PATH {
			return strings.Index(op.Path, "{"+p.Wire+"}")
		}
		return len(op.Path)
	}
	slices.SortStableFunc(all, func(a, b Property) int { return cmp.Compare(position(a), position(b)) })
	return all, nil
}

// checkPath refuses an operation whose path does not have exactly the declared path parameters.
func checkPath(op *document.Operation) error {
	var inPath, declared []string
	for _, match := range regexp.MustCompile(`\{([^}]*)\}`).FindAllStringSubmatch(op.Path, -1) {
		inPath = append(inPath, match[1])
	}
	for _, p := range op.Parameters {
		if p.In == "path" {
			declared = append(declared, p.Name)
		}
	}
	slices.Sort(inPath)
	slices.Sort(declared)
	if declared = slices.Compact(declared); !slices.Equal(inPath, declared) {
		return op.Errorf("the path has the parameters %q, but the operation declares %q: %w", inPath, declared, ErrUnsupported)
	}
	return nil
}

func readParameter(parameter *document.Parameter) (Property, error) {
	if parameter.Schema == nil {
		return Property{}, fmt.Errorf("a parameter without schema: %w", ErrUnsupported)
	}
	s := resolve(parameter.Schema, parameter.Name)
	s.inURL = true
	p := newProperty(parameter.Name, s)
	p.read(parameter.Description)
	p.Deprecated = p.Deprecated || parameter.Deprecated
	p.Options.Required = parameter.Required && !extension(parameter.Extensions, "x-required-unknown")
	style := ""
	switch parameter.In {
	case "path":
		p.Options.In, style = apiv1.Location_LOCATION_PATH, "simple"
	case "query":
		p.Options.In, style = apiv1.Location_LOCATION_QUERY, "form"
	default:
		return Property{}, fmt.Errorf("a parameter in %q: %w", parameter.In, ErrUnsupported)
	}
	if parameter.Style != "" && parameter.Style != style {
		return Property{}, fmt.Errorf("style %q, want %q: %w", parameter.Style, style, ErrUnsupported)
	}
	if !p.Shape.Kind.Scalar() || p.Shape.Label == Mapping {
		return Property{}, fmt.Errorf("a parameter that is neither a scalar nor an array of scalars: %w", ErrUnsupported)
	}
	switch {
	case p.Shape.Label == List:
		p.Options.ArrayStyle = arrayStyle(parameter)
	case p.Notes.CommaSeparated && parameter.In == "query":
		p.split()
	}
	p.Options.Ordered = p.Shape.Label == List && ordered(parameter.Description)
	p.narrow()
	return p, nil
}

// readBody returns the members of the request's body. A body that is no object is a single field.
func readBody(key string, op *document.Operation) (apiv1.Body, []Property, error) {
	if op.Body == nil {
		return apiv1.Body_BODY_UNSPECIFIED, nil, nil
	}
	content, err := jsonSchema(op.Body.Location, op.Body.Content, key+" body")
	if err != nil || content.Schema == nil {
		return apiv1.Body_BODY_UNSPECIFIED, nil, err
	}
	fields := content.properties()
	if !content.isObject() {
		fields = []Property{rootProperty("body", content)}
	}
	for i := range fields {
		fields[i].Options.In = apiv1.Location_LOCATION_BODY
		fields[i].narrow()
	}
	if op.Body.Required {
		return apiv1.Body_BODY_REQUIRED, fields, nil
	}
	return apiv1.Body_BODY_OPTIONAL, fields, nil
}

// readResponse returns the status of success, the schema of its body, and the members of the body. A body
// that is no object is a single field. The error may be an overlay.ErrIdle beside valid results: then a
// correction says what an array is wrapped in, but the body is no array.
func readResponse(key string, op *document.Operation) (success int32, body *document.Schema, fields []Property, err error) {
	for _, response := range op.Responses {
		status, err := strconv.ParseInt(response.Status, 10, 32)
		if err != nil || status < 200 || status > 299 {
			continue
		}
		if status == http.StatusNoContent { // It has no body, whatever the document says.
			return int32(status), nil, nil, nil
		}
		content, err := jsonSchema(response.Location, response.Content, key+" response")
		if err != nil || content.Schema == nil {
			return int32(status), nil, nil, err
		}
		name, err := wrappedIn(content)
		switch {
		case content.isObject():
			return int32(status), content.Schema, content.properties(), err
		case content.isArray():
			return int32(status), content.Schema, []Property{rootProperty(cmp.Or(name, lastLiteral(op.Path)), content)}, err
		default:
			return int32(status), content.Schema, []Property{rootProperty("value", content)}, err
		}
	}
	return 0, nil, nil, op.Errorf("no 2XX response: %w", ErrUnsupported)
}

// recordLists returns the paths, by wire names, to the lists of a response that could hold a page's
// records: its own lists, of which only `data` counts if it is among them; or, if it has none, those of
// its members.
func recordLists(response []Property) [][]string {
	lists := func(fields []Property, path ...string) [][]string {
		var all [][]string
		for _, p := range fields {
			if p.Shape.Label == List && !p.Deprecated && holdsRecords(p.Wire, p.Shape.Kind) {
				all = append(all, append(slices.Clone(path), p.Wire))
			}
		}
		return all
	}
	all := lists(response)
	if i := slices.IndexFunc(all, func(list []string) bool { return list[0] == "data" }); i >= 0 {
		return all[i : i+1]
	}
	if len(all) > 0 {
		return all
	}
	for _, p := range response {
		if p.Shape.Label == Single && p.Shape.Kind == KindMessage && !p.Deprecated {
			all = append(all, lists(p.Shape.Definition().Fields, p.Wire)...)
		}
	}
	return all
}

// holdsRecords reports whether a list with a name and kind can hold records. Columns and links describe
// a page instead.
func holdsRecords(wire string, kind Kind) bool {
	wire = strings.ToLower(wire)
	return wire != "columns" && wire != "links" && IsRecord(kind)
}

// IsRecord reports whether a value of the kind can be a record. Numbers and booleans cannot.
func IsRecord(kind Kind) bool {
	return kind != KindInteger && kind != KindInt32 && kind != KindNumber && kind != KindBoolean
}

// CursorParameter returns the wire name of the parameter that says where the next page begins.
func CursorParameter(p apiv1.Pagination) string {
	switch p {
	case apiv1.Pagination_PAGINATION_BIDIRECTIONAL:
		return "startingAfter"
	case apiv1.Pagination_PAGINATION_PAGE_NUMBER:
		return "pageNumber"
	case apiv1.Pagination_PAGINATION_CURSOR, apiv1.Pagination_PAGINATION_UNSPECIFIED:
	}
	return "after"
}

// unstreamable returns why the pages of an operation cannot be read one after the other.
func unstreamable(op *document.Operation, paging apiv1.Pagination, lists [][]string, parameters, response []Property) error {
	if paging == apiv1.Pagination_PAGINATION_UNSPECIFIED {
		return nil
	}
	is := func(fields []Property, wire string, kind Kind) bool {
		return slices.ContainsFunc(fields, func(p Property) bool {
			return p.Wire == wire && p.Shape.Label == Single && p.Shape.Kind == kind
		})
	}
	if cursor := CursorParameter(paging); !is(parameters, cursor, KindString) {
		return op.Errorf("pages without a parameter %q that is text: %w", cursor, ErrUnsupported)
	}
	if len(lists) != 1 {
		names := make([]string, 0, len(lists))
		for _, list := range lists {
			names = append(names, strings.Join(list, "."))
		}
		return op.Errorf("pages with %d lists of records %q, want 1: %w", len(lists), names, ErrUnsupported)
	}
	if paging == apiv1.Pagination_PAGINATION_PAGE_NUMBER {
		return nil
	}
	for _, p := range response {
		if p.Wire != "pagination" || p.Shape.Label != Single || p.Shape.Kind != KindMessage {
			continue
		}
		if below := p.Shape.Definition().Fields; is(below, "endCursor", KindString) && is(below, "hasNextPage", KindBoolean) {
			return nil
		}
	}
	return op.Errorf("pages without a pagination of endCursor and hasNextPage: %w", ErrUnsupported)
}

// jsonSchema returns the schema of JSON content. It has no Schema if there is no content.
func jsonSchema(at document.Location, content []document.Media, key string) (schema, error) {
	if len(content) == 0 {
		return schema{}, nil
	}
	i := slices.IndexFunc(content, func(m document.Media) bool {
		return m.Type == "application/json" || strings.HasPrefix(m.Type, "application/json;")
	})
	if i < 0 {
		var types []string
		for _, m := range content {
			types = append(types, m.Type)
		}
		return schema{}, at.Errorf("content of the type %s, want application/json: %w", strings.Join(types, ", "), ErrUnsupported)
	}
	if content[i].Schema == nil {
		return schema{}, content[i].Errorf("content without schema: %w", ErrUnsupported)
	}
	return resolve(content[i].Schema, key), nil
}

// rootProperty returns a whole body as one field. A map becomes a field of any value, because a map field
// cannot be a whole body.
func rootProperty(name string, s schema) Property {
	p := newProperty(name, s)
	if p.Shape.Label == Mapping {
		p.Shape = Shape{Label: Single, Kind: KindAny}
	}
	p.Options.Root = true
	return p
}

func updateMask() Property {
	return Property{
		Wire:    "updateMask",
		Shape:   Shape{Kind: KindMask},
		Options: &apiv1.Field{In: apiv1.Location_LOCATION_UPDATE_MASK},
	}
}

// Shapes returns the shapes of the streaming twins that the operation should have.
func (o Operation) Shapes() []apiv1.StreamShape {
	switch {
	case o.Unstreamable != nil:
		return nil
	case o.Annotation.GetFeed():
		return []apiv1.StreamShape{apiv1.StreamShape_STREAM_SHAPE_PAGES, apiv1.StreamShape_STREAM_SHAPE_FOLLOW}
	case o.Annotation.GetPagination() != apiv1.Pagination_PAGINATION_UNSPECIFIED:
		return []apiv1.StreamShape{apiv1.StreamShape_STREAM_SHAPE_PAGES}
	}
	return nil
}
