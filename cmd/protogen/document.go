package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"google.golang.org/protobuf/proto"

	gatewayv1 "samsara.internal/gateway/gen/samsara/gateway/v1"
)

// ErrUnsupported is in every error for a document that cannot be expressed without loss.
var ErrUnsupported = errors.New("not supported")

// operation is what the document says of one operation.
type operation struct {
	place             place
	name              string // of the RPC
	annotation        *gatewayv1.Operation
	request, response source
	deprecated        bool
	feed              feedFacts
}

// source is what the document says of one message. The key tells sources apart.
type source struct {
	key     string
	fields  []property
	answers bool // it is of a response
}

// load reads the document and returns its operations by path and method. The error joins
// everything that cannot be expressed.
func load(ctx context.Context, spec string) ([]operation, error) {
	loader := openapi3.NewLoader()
	loader.Context = ctx
	document, err := loader.LoadFromFile(spec)
	if err != nil {
		return nil, err
	}
	// Examples, patterns and defaults are not ours to judge: Samsara's break their own schemas.
	lenient := []openapi3.ValidationOption{
		openapi3.DisableExamplesValidation(), openapi3.DisableSchemaPatternValidation(), openapi3.DisableSchemaDefaultsValidation(),
	}
	if err := document.Validate(ctx, lenient...); err != nil {
		return nil, err
	}
	var all []operation
	var problems []error
	paths := document.Paths.Map()
	for _, template := range slices.Sorted(maps.Keys(paths)) {
		operations := paths[template].Operations()
		for _, verb := range slices.Sorted(maps.Keys(operations)) {
			o, err := newOperation(verb, template, paths[template], operations[verb])
			if err != nil {
				problems = append(problems, fmt.Errorf("%s %s: %w", verb, template, err))
				continue
			}
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(a, b operation) int { return compareOperations(a.annotation, b.annotation) })
	return all, errors.Join(problems...)
}

func compareOperations(a, b *gatewayv1.Operation) int {
	return cmp.Or(cmp.Compare(a.GetPath(), b.GetPath()), cmp.Compare(a.GetMethod(), b.GetMethod()))
}

func newOperation(verb, template string, item *openapi3.PathItem, op *openapi3.Operation) (operation, error) {
	verbNumber, ok := gatewayv1.HttpMethod_value["HTTP_METHOD_"+verb]
	if !ok {
		return operation{}, fmt.Errorf("method %s: %w", verb, ErrUnsupported)
	}
	if op.OperationID == "" {
		return operation{}, fmt.Errorf("operation without operationId: %w", ErrUnsupported)
	}
	where, err := placeOf(template, op.Tags)
	if err != nil {
		return operation{}, err
	}
	limit, err := rateLimit(op.Description)
	if err != nil {
		return operation{}, err
	}
	key := verb + " " + template
	status, response, err := readResponse(key, template, op)
	if err != nil {
		return operation{}, err
	}
	parameters, err := readParameters(template, item, op)
	if err != nil {
		return operation{}, err
	}
	body, fields, err := readBody(key, op)
	if err != nil {
		return operation{}, err
	}
	if body != gatewayv1.Body_BODY_UNSPECIFIED && (verb == "PATCH" || verb == "PUT") {
		fields = append(fields, updateMask())
	}
	paging := pagination(template, parameters)
	isFeed := paging == gatewayv1.Pagination_PAGINATION_CURSOR && (strings.HasSuffix(template, "/feed") || strings.HasSuffix(template, "/stream"))
	return operation{
		place: where,
		name:  rpcName(op.OperationID),
		annotation: &gatewayv1.Operation{
			Id:            op.OperationID,
			Method:        gatewayv1.HttpMethod(verbNumber),
			Path:          template,
			Body:          body,
			Pagination:    paging,
			Feed:          isFeed,
			Repeatable:    repeatable(verb, op.OperationID),
			Scope:         scope(op.Description),
			RateLimit:     limit,
			SuccessStatus: status,
		},
		request:    source{key: key + " request", fields: append(parameters, fields...)},
		response:   source{key: key + " response", fields: response},
		deprecated: op.Deprecated || extension(op.Extensions, "x-absent-from"),
		feed:       readFeedFacts(isFeed, op),
	}, nil
}

// rpcName is the operationId as an RPC's name, without the V1 of legacy operations. A name that
// begins with the verb stream would promise a stream, so it becomes a Get.
func rpcName(id string) string {
	w := words(strings.TrimPrefix(id, "V1"))
	if len(w) > 1 && w[0] == "stream" {
		return "Get" + upperCamel(w[1:]) + "Stream"
	}
	return identifier(upperCamel(w), "Call")
}

// repeatable says whether sending twice does no more than sending once: by HTTP's rules, and
// for POSTs that only read by their names.
func repeatable(verb, id string) bool {
	switch verb {
	case "GET", "PUT", "DELETE":
		return true
	case "POST":
		return regexp.MustCompile(`^(?:V1)?(?:get|list)`).MatchString(id)
	}
	return false
}

func pagination(template string, parameters []property) gatewayv1.Pagination {
	has := func(wire string) bool {
		return slices.ContainsFunc(parameters, func(p property) bool { return p.wire == wire })
	}
	switch {
	case has("after"):
		return gatewayv1.Pagination_PAGINATION_CURSOR
	case has("startingAfter"), has("endingBefore"):
		return gatewayv1.Pagination_PAGINATION_BIDIRECTIONAL
	case strings.Contains(template, "{pageNumber}"):
		return gatewayv1.Pagination_PAGINATION_PAGE_NUMBER
	}
	return gatewayv1.Pagination_PAGINATION_UNSPECIFIED
}

// readParameters returns the path parameters in the order of the path, then the query
// parameters by name.
func readParameters(template string, item *openapi3.PathItem, op *openapi3.Operation) ([]property, error) {
	found := map[string]*openapi3.Parameter{}
	for _, ref := range slices.Concat(item.Parameters, op.Parameters) {
		found[ref.Value.In+" "+ref.Value.Name] = ref.Value
	}
	var all []property
	for _, key := range slices.Sorted(maps.Keys(found)) {
		p, err := readParameter(found[key])
		if err != nil {
			return nil, fmt.Errorf("parameter %q: %w", found[key].Name, err)
		}
		all = append(all, p)
	}
	position := func(p property) int {
		if p.options.GetIn() == gatewayv1.Location_LOCATION_PATH {
			return strings.Index(template, "{"+p.wire+"}")
		}
		return len(template)
	}
	slices.SortStableFunc(all, func(a, b property) int { return cmp.Compare(position(a), position(b)) })
	return all, nil
}

func readParameter(parameter *openapi3.Parameter) (property, error) {
	if parameter.Schema == nil {
		return property{}, fmt.Errorf("a parameter without schema: %w", ErrUnsupported)
	}
	p := newProperty(parameter.Name, resolve(parameter.Schema, parameter.Name))
	p.read(parameter.Description)
	p.deprecated = p.deprecated || parameter.Deprecated
	p.options.Required = parameter.Required && !extension(parameter.Extensions, "x-required-unknown")
	switch parameter.In {
	case openapi3.ParameterInPath:
		p.options.In = gatewayv1.Location_LOCATION_PATH
	case openapi3.ParameterInQuery:
		p.options.In = gatewayv1.Location_LOCATION_QUERY
	default:
		return property{}, fmt.Errorf("a parameter in %q: %w", parameter.In, ErrUnsupported)
	}
	if !p.shape.kind.scalar() || p.shape.label == mapping {
		return property{}, fmt.Errorf("a parameter that is neither a scalar nor an array of scalars: %w", ErrUnsupported)
	}
	if p.shape.label == list {
		p.options.ArrayStyle = arrayStyle(parameter)
	}
	return p, nil
}

// readBody returns the members of the request's body; a body that is no object is one field.
func readBody(key string, op *openapi3.Operation) (gatewayv1.Body, []property, error) {
	if op.RequestBody == nil {
		return gatewayv1.Body_BODY_UNSPECIFIED, nil, nil
	}
	content, err := jsonSchema(op.RequestBody.Value.Content, key+" body")
	if err != nil || content.Schema == nil {
		return gatewayv1.Body_BODY_UNSPECIFIED, nil, err
	}
	fields := content.properties()
	if !content.isObject() {
		fields = []property{rootProperty("body", content)}
	}
	for _, p := range fields {
		p.options.In = gatewayv1.Location_LOCATION_BODY
	}
	if op.RequestBody.Value.Required {
		return gatewayv1.Body_BODY_REQUIRED, fields, nil
	}
	return gatewayv1.Body_BODY_OPTIONAL, fields, nil
}

// readResponse returns the status of success and the members of its body; a body that is no
// object is one field.
func readResponse(key, template string, op *openapi3.Operation) (int32, []property, error) {
	responses := op.Responses.Map()
	for _, code := range slices.Sorted(maps.Keys(responses)) {
		status, err := strconv.ParseInt(code, 10, 32)
		if err != nil || status < 200 || status > 299 {
			continue
		}
		content, err := jsonSchema(responses[code].Value.Content, key+" response")
		switch {
		case err != nil:
			return 0, nil, err
		case content.Schema == nil:
			return int32(status), nil, nil
		case content.isObject():
			return int32(status), content.properties(), nil
		case content.isArray():
			return int32(status), []property{rootProperty(lastLiteral(template), content)}, nil
		default:
			return int32(status), []property{rootProperty("value", content)}, nil
		}
	}
	return 0, nil, fmt.Errorf("no 2XX response: %w", ErrUnsupported)
}

// jsonSchema returns the schema of JSON content, no schema where there is no content.
func jsonSchema(content openapi3.Content, key string) (schema, error) {
	if len(content) == 0 {
		return schema{}, nil
	}
	media := content["application/json"]
	if media == nil || media.Schema == nil {
		return schema{}, fmt.Errorf("%s is not JSON with a schema: %w", key, ErrUnsupported)
	}
	return resolve(media.Schema, key), nil
}

// rootProperty is a whole body as one field.
func rootProperty(name string, s schema) property {
	p := newProperty(name, s)
	p.options.Root = true
	return p
}

func updateMask() property {
	return property{
		wire:    "updateMask",
		shape:   shape{kind: kindMask},
		options: &gatewayv1.Field{In: gatewayv1.Location_LOCATION_UPDATE_MASK},
	}
}

// placed is the operation's annotation at a place.
func (o operation) placed(p place) *gatewayv1.Operation {
	annotation := proto.CloneOf(o.annotation)
	annotation.Stage = p.stage()
	return annotation
}
