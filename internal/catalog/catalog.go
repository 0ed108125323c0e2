package catalog

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/descriptorpb"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/endpoint"
)

// Catalog has all methods that are served. It is immutable.
type Catalog struct {
	endpoints []*endpoint.Endpoint
	records   []record
	named     []named
}

// New returns the catalog of endpoints.
func New(endpoints []*endpoint.Endpoint) *Catalog {
	c := &Catalog{endpoints: endpoints}
	for _, e := range endpoints {
		c.records = append(c.records, newRecord(e))
	}
	for _, m := range methods(endpoints) {
		c.named = append(c.named, named{m, strings.ReplaceAll(m.FullName(), "/", "."), m.Service(), m.Area(), former(m)})
	}
	return c
}

// Method is a unary method, or a stream that reads its pages.
type Method struct {
	*endpoint.Endpoint
	// Stream is nil if it is the unary one.
	Stream *endpoint.Stream
	// Path is the escaped path that it was resolved by, which may be its template; empty: by no path.
	Path string
}

// FullName returns a name such as "samsara_gateway.vehicles.v1.VehiclesService/ListVehicles".
func (m Method) FullName() string {
	full := m.FullMethod
	if m.Stream != nil {
		full = m.Stream.FullMethod
	}
	return strings.TrimPrefix(full, "/")
}

// Name returns a name such as "ListVehicles".
func (m Method) Name() string { return lastPart(m.FullName()) }

// lastPart returns what follows the last slash or dot.
func lastPart(name string) string { return name[strings.LastIndexAny(name, "/.")+1:] }

// methods returns the unary method of each endpoint, followed by the streams that read its pages.
func methods(endpoints []*endpoint.Endpoint) []Method {
	all := make([]Method, 0, 2*len(endpoints))
	for _, e := range endpoints {
		all = append(all, Method{Endpoint: e})
		for _, s := range e.Streams {
			all = append(all, Method{Endpoint: e, Stream: s})
		}
	}
	return all
}

// Stage returns the name of a stage, such as "beta".
func Stage(s apiv1.Stage) string {
	return strings.ToLower(strings.TrimPrefix(s.String(), "STAGE_"))
}

// Service returns a name such as "VehiclesService".
func (m Method) Service() string { return lastPart(strings.TrimSuffix(m.FullName(), "/"+m.Name())) }

// Area returns the name in the package before the version, such as "vehicles".
func (m Method) Area() string { return lastPart(string(m.Method.ParentFile().Package().Parent())) }

// Deprecated reports whether the method is there only for existing clients.
func (m Method) Deprecated() bool {
	descriptor := m.Method
	if m.Stream != nil {
		descriptor = m.Stream.Method
	}
	options, _ := descriptor.Options().(*descriptorpb.MethodOptions)
	return options.GetDeprecated()
}

// former returns the names that a method may have had before, has in Samsara's SDKs, or would have by the
// rule for the names of other methods. The likeliest comes first: for a unary method the operationId. All of
// them follow from the verb and noun of the operationId, which does not change, and from the unary method's
// name.
func former(m Method) []string {
	id := m.Operation.GetId()
	plain := strings.TrimPrefix(id, "V1")
	noun := withoutVerb(plain)
	streamed, isStreamed := strings.CutPrefix(plain, "stream")
	if isStreamed {
		noun = streamed + streamSuffix
	}
	if m.Stream == nil {
		names := []string{id, plain}
		if isStreamed {
			names = append(names, "get"+noun, "list"+noun)
		}
		return names
	}
	verb := "Stream"
	if m.Stream.Follow {
		verb = "Follow"
	}
	var names []string
	for _, noun := range []string{noun, withoutVerb(Method{Endpoint: m.Endpoint}.Name())} {
		stem := strings.TrimSuffix(strings.TrimSuffix(noun, streamSuffix), feedSuffix)
		names = append(names, verb+noun)
		if m.Stream.Follow || strings.HasSuffix(noun, streamSuffix) {
			names = append(names, verb+stem)
		}
		if stem != noun {
			names = append(names, verb+stem+streamSuffix, verb+stem+feedSuffix)
		}
	}
	return names
}

// The unary methods and operationIds of feeds end in one of these words.
const (
	streamSuffix = "Stream"
	feedSuffix   = "Feed"
)

// withoutVerb returns the noun of a name that begins with a verb of reading.
func withoutVerb(name string) string {
	for _, verb := range []string{"get", "list", "fetch"} {
		if len(name) > len(verb) && strings.EqualFold(name[:len(verb)], verb) {
			return strings.TrimPrefix(name[len(verb):], "All")
		}
	}
	return name
}

// camelWords returns the words of a name such as an operationId.
func camelWords(name string) []string {
	return regexp.MustCompile(`[A-Z]*[a-z0-9]+|[A-Z]+`).FindAllString(name, -1)
}

// parseRequestLine parses a path or URL with an HTTP method before it, which may be left out. ok is false if
// text is none.
func parseRequestLine(text string) (method, path string, ok bool) {
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

// at returns the endpoints that a path matches, of one HTTP method or, if method is empty, of each. A
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
