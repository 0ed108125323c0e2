// Package catalog finds methods by what people know of them: names of gRPC, of Samsara's document and
// SDKs, names that a method has had, paths with ids in them, scopes, stages, or a part of any.
//
// It knows of a method what its descriptor and annotation say, and holds no table of names: what a
// method was called before follows from its operationId, and so does its name in Samsara's SDKs.
package catalog

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/endpoint"
)

// Catalog is all methods that are served. It is immutable.
type Catalog struct {
	endpoints []*endpoint.Endpoint
	records   []record
}

// New returns the catalog of endpoints.
func New(endpoints []*endpoint.Endpoint) *Catalog {
	c := &Catalog{endpoints: endpoints}
	for _, e := range endpoints {
		c.records = append(c.records, newRecord(e))
	}
	return c
}

// Method is a unary method, or one of those that read its pages.
type Method struct {
	*endpoint.Endpoint
	// Stream is nil if it is the unary one.
	Stream *endpoint.Stream
}

// FullName is "samsara_gateway.vehicles.v1.VehiclesService/ListVehicles".
func (m Method) FullName() string {
	full := m.FullMethod
	if m.Stream != nil {
		full = m.Stream.FullMethod
	}
	return strings.TrimPrefix(full, "/")
}

// Name is "ListVehicles".
func (m Method) Name() string { return lastPart(m.FullName()) }

// lastPart is what follows the last slash or dot.
func lastPart(name string) string { return name[strings.LastIndexAny(name, "/.")+1:] }

// methods returns each endpoint's method, and behind it those that read its pages.
func methods(endpoints []*endpoint.Endpoint) []Method {
	all := make([]Method, 0, 2*len(endpoints))
	for _, e := range endpoints {
		all = append(all, Method{Endpoint: e})
		for _, s := range e.Streams {
			all = append(all, Method{e, s})
		}
	}
	return all
}

// Stage is a stage as people call it.
func Stage(s apiv1.Stage) string {
	return strings.ToLower(strings.TrimPrefix(s.String(), "STAGE_"))
}

// former returns the operationId, and what a method and those that read its pages may have been called before, and are in
// Samsara's SDKs. All of it follows from the id, which does not change: its verb and noun.
func former(e *endpoint.Endpoint) []string {
	id := e.Operation.GetId()
	names := []string{id}
	id = strings.TrimPrefix(id, "V1")
	if noun, ok := strings.CutPrefix(id, "stream"); ok {
		names = append(names, "get"+noun+"Stream")
	}
	noun := id[len(regexp.MustCompile(`^(?:(?:get|list|fetch)(?:All)?)?`).FindString(id)):]
	for _, s := range e.Streams {
		verb, plain := "Stream", strings.TrimSuffix(noun, "Stream")
		if s.Follow {
			verb, plain = "Follow", strings.TrimSuffix(plain, "Feed")
		}
		names = append(names, verb+noun, verb+plain)
	}
	return append(names, id)
}

// camelWords returns the words of a name such as an operationId.
func camelWords(name string) []string {
	return regexp.MustCompile(`[A-Z]*[a-z0-9]+|[A-Z]+`).FindAllString(name, -1)
}

// place is a path, as people have it, and the HTTP method before it if they say so.
func place(text string) (method, path string, ok bool) {
	before, after, found := strings.Cut(text, " ")
	if found && slices.Contains(httpMethods(), strings.ToUpper(before)) {
		method, text = strings.ToUpper(before), strings.TrimSpace(after)
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" && !strings.HasPrefix(text, "/") || u.Scheme != "" && u.Host == "" {
		return "", "", false
	}
	return method, u.EscapedPath(), true
}

func httpMethods() []string {
	return []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}
}

// at returns the endpoints that a path is for, of one HTTP method or, if that is empty, of each. A
// template is a path too.
func (c *Catalog) at(method, path string) []*endpoint.Endpoint {
	var found []*endpoint.Endpoint
	for _, m := range httpMethods() {
		if method != "" && m != method {
			continue
		}
		if e := endpoint.Find(c.endpoints, m, path); e != nil {
			found = append(found, e)
		}
	}
	return found
}
