package document

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"samsara.internal/gateway/cmd/protogen/overlay"
)

// Document is what an OpenAPI document says, its operations by path and method.
type Document struct {
	Location
	Operations []*Operation
	Version    string // the one that Samsara gives it, as in X-Samsara-Version
	SHA256     string // of the document before it is corrected, in hexadecimal
	// Idle has an error for each correction that changes nothing, with the file that it is in.
	Idle []error
	// Marks are the extensions that corrections add.
	Marks []Mark
}

// Mark is an extension that a correction adds, and the file that it is in.
type Mark struct {
	overlay.Mark
	file string
}

// Unread returns an error that wraps overlay.ErrIdle, for a mark that nothing reads at its location.
func (m Mark) Unread() error { return fmt.Errorf("%s: %w", m.file, m.Mark.Unread()) }

// Operation is one method of one path.
type Operation struct {
	Location
	Method      string // upper case
	Path        string // the template
	ID          string
	Description string
	Tags        []string
	Parameters  []*Parameter // those of the path, then those of the operation
	Body        *Body        // nil if there is none
	Responses   []*Response  // by status
	Deprecated  bool
	Extensions  map[string]any
}

// Parameter is one parameter. Schema is nil if the document gives it none.
type Parameter struct {
	Location
	Name, In, Style      string
	Description          string
	Required, Deprecated bool
	Explode              *bool
	Schema               *Schema
	Extensions           map[string]any
}

// Body is the body of a request.
type Body struct {
	Location
	Required bool
	Content  []Media
}

// Response is an answer by its status, such as 200 or default.
type Response struct {
	Location
	Status  string
	Content []Media
}

// Media is a body of one media type. Schema is nil if the document gives it none.
type Media struct {
	Location
	Type   string
	Schema *Schema
}

// Schema is one schema. A schema that others refer to is one value for all of them, so a schema can
// lead to itself.
type Schema struct {
	Location
	Name                string   // of the component; empty for a schema without a name of its own
	Types               []string // without null
	Nullable            bool
	Format, Description string
	Enum                []any
	Default             any
	Minimum, Maximum    *float64
	MinLength, MinItems uint64
	MaxLength, MaxItems *uint64
	Items               *Schema
	Properties          map[string]*Schema
	Required            []string
	Values              *Schema // of a map, if the document gives their schema
	AllOf, OneOf, AnyOf []*Schema
	Deprecated          bool
	Extensions          map[string]any
}

// Read reads the document in a file, corrected by the overlay in another one. A Location is one of the
// document before it is corrected. What a correction adds has the location that it is added to.
func Read(ctx context.Context, name, corrections string) (*Document, error) {
	raw, err := os.ReadFile(name) //nolint:gosec // the caller names the document
	if err != nil {
		return nil, err
	}
	file := &file{name: name, raw: raw}
	root := Location{file, ""}
	loader := openapi3.NewLoader()
	loader.Context = ctx
	if _, err := loader.LoadFromData(raw); err != nil {
		return nil, file.explain(err)
	}
	corrected, err := correct(raw, corrections)
	if err != nil {
		return nil, err
	}
	doc, err := loader.LoadFromData(corrected.Document)
	if err != nil {
		return nil, fmt.Errorf("%s, corrected by %s: %w", name, corrections, err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.0.") && !strings.HasPrefix(doc.OpenAPI, "3.1.") {
		return nil, root.Errorf("want an OpenAPI document of version 3.0 or 3.1, have %q", doc.OpenAPI)
	}
	r := reader{components: doc.Components, schemas: map[schemaKey]*Schema{}}
	paths := root.member("paths")
	d := &Document{Location: root, SHA256: fmt.Sprintf("%x", sha256.Sum256(raw)), Idle: corrected.Idle}
	if doc.Info != nil {
		d.Version = doc.Info.Version
	}
	for _, mark := range corrected.Marks {
		d.Marks = append(d.Marks, Mark{mark, corrections})
	}
	for _, template := range slices.Sorted(maps.Keys(doc.Paths.Map())) {
		item := doc.Paths.Value(template)
		at := paths.member(template).follow(item.Ref)
		operations := item.Operations()
		for _, method := range slices.Sorted(maps.Keys(operations)) {
			o := r.operation(at.member(strings.ToLower(method)), operations[method])
			o.Method, o.Path = method, template
			o.Parameters = slices.Concat(r.parameters(at.member("parameters"), item.Parameters), o.Parameters)
			d.Operations = append(d.Operations, o)
		}
	}
	return d, nil
}

// correct returns the document, corrected by the overlay in a file.
func correct(document []byte, name string) (overlay.Result, error) {
	corrections, err := os.ReadFile(name) //nolint:gosec // the caller names the corrections
	if errors.Is(err, fs.ErrNotExist) {
		return overlay.Result{}, fmt.Errorf("%s: no such file; if there is nothing to correct it has \"actions: []\"", name)
	}
	if err != nil {
		return overlay.Result{}, err
	}
	corrected, err := overlay.Apply(document, corrections)
	if err != nil {
		return overlay.Result{}, fmt.Errorf("%s: %w", name, err)
	}
	for i, err := range corrected.Idle {
		corrected.Idle[i] = fmt.Errorf("%s: %w", name, err)
	}
	return corrected, nil
}

// reader turns the types of the library into those of this package.
type reader struct {
	components *openapi3.Components
	schemas    map[schemaKey]*Schema
}

// schemaKey identifies a schema. A reference by another name, or one that adds to a schema, is another
// schema.
type schemaKey struct {
	ref   string
	value *openapi3.Schema
}

func (r reader) operation(at Location, op *openapi3.Operation) *Operation {
	o := &Operation{
		Location:    at,
		ID:          op.OperationID,
		Description: op.Description,
		Tags:        op.Tags,
		Parameters:  r.parameters(at.member("parameters"), op.Parameters),
		Deprecated:  op.Deprecated,
		Extensions:  op.Extensions,
	}
	if body := op.RequestBody; body != nil && body.Value != nil {
		at := at.member("requestBody").follow(body.Ref)
		o.Body = &Body{Location: at, Required: body.Value.Required, Content: r.content(at, body.Value.Content)}
	}
	responses := op.Responses.Map()
	for _, status := range slices.Sorted(maps.Keys(responses)) {
		at := at.member("responses").member(status).follow(responses[status].Ref)
		o.Responses = append(o.Responses, &Response{Location: at, Status: status, Content: r.content(at, responses[status].Value.Content)})
	}
	return o
}

func (r reader) parameters(at Location, parameters openapi3.Parameters) []*Parameter {
	var all []*Parameter
	for i, ref := range parameters {
		p, at := ref.Value, at.entry(i).follow(ref.Ref)
		all = append(all, &Parameter{
			Location:    at,
			Name:        p.Name,
			In:          p.In,
			Style:       p.Style,
			Description: p.Description,
			Required:    p.Required,
			Deprecated:  p.Deprecated,
			Explode:     p.Explode,
			Schema:      r.schema(at.member("schema"), p.Schema),
			Extensions:  p.Extensions,
		})
	}
	return all
}

func (r reader) content(at Location, content openapi3.Content) []Media {
	var all []Media
	for _, name := range slices.Sorted(maps.Keys(content)) {
		at := at.member("content").member(name)
		media := Media{Location: at, Type: name}
		if content[name] != nil {
			media.Schema = r.schema(at.member("schema"), content[name].Schema)
		}
		all = append(all, media)
	}
	return all
}

func (r reader) schema(at Location, ref *openapi3.SchemaRef) *Schema {
	if ref == nil || ref.Value == nil {
		return nil
	}
	key := schemaKey{ref.Ref, ref.Value}
	if known := r.schemas[key]; known != nil {
		return known
	}
	at = at.follow(ref.Ref)
	v := ref.Value
	s := &Schema{
		Location:    at,
		Types:       v.Type.Slice(),
		Nullable:    v.Nullable,
		Format:      v.Format,
		Description: v.Description,
		Enum:        v.Enum,
		Default:     v.Default,
		Minimum:     v.Min,
		Maximum:     v.Max,
		MinLength:   v.MinLength,
		MaxLength:   v.MaxLength,
		MinItems:    v.MinItems,
		MaxItems:    v.MaxItems,
		Required:    v.Required,
		Deprecated:  v.Deprecated,
		Extensions:  v.Extensions,
	}
	r.schemas[key] = s
	if ref.Ref != "" && !r.extends(ref) {
		s.Name = path.Base(ref.Ref)
	}
	if i := slices.Index(s.Types, openapi3.TypeNull); i >= 0 && len(s.Types) > 1 {
		s.Types, s.Nullable = slices.Delete(slices.Clone(s.Types), i, i+1), true
	}
	if v.Const != nil {
		s.Enum = []any{v.Const}
	}
	if v.ContentEncoding == "base64" {
		s.Format = "byte"
	}
	s.Items = r.schema(at.member("items"), v.Items)
	s.Values = r.schema(at.member("additionalProperties"), v.AdditionalProperties.Schema)
	s.AllOf = r.members(at.member("allOf"), v.AllOf)
	s.OneOf = r.members(at.member("oneOf"), v.OneOf)
	s.AnyOf = r.members(at.member("anyOf"), v.AnyOf)
	if len(v.Properties) > 0 {
		s.Properties = map[string]*Schema{}
	}
	for name, property := range v.Properties {
		s.Properties[name] = r.schema(at.member("properties").member(name), property)
	}
	return s
}

// extends reports whether there are members of an object beside a $ref: then the object is another one
// than the one that the $ref leads to. The library adds such members to the allOf of a copy.
func (r reader) extends(ref *openapi3.SchemaRef) bool {
	if r.components == nil {
		return false
	}
	target := r.components.Schemas[path.Base(ref.Ref)]
	if target == nil || target.Value == nil || len(ref.Value.AllOf) <= len(target.Value.AllOf) {
		return false
	}
	beside := ref.Value.AllOf[len(ref.Value.AllOf)-1].Value
	return beside != nil && len(beside.Properties)+len(beside.Required) > 0
}

func (r reader) members(at Location, refs openapi3.SchemaRefs) []*Schema {
	var all []*Schema
	for i, ref := range refs {
		all = append(all, r.schema(at.entry(i), ref))
	}
	return all
}

// Is reports whether the schema is of one type alone.
func (s *Schema) Is(name string) bool { return len(s.Types) == 1 && s.Types[0] == name }
