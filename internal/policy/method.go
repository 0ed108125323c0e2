package policy

import (
	"net/http"
	"slices"
	"strings"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/endpoint"
)

const (
	methodGet = http.MethodGet
	// reflectionService and channelzService begin the names of grpc's own methods that a policy can name.
	reflectionService = "grpc.reflection."
	channelzService   = "grpc.channelz."
)

// Method is a method that a policy decides about.
type Method struct {
	// Name is the full name without a slash in front; of passthrough that is not a method by itself, what it is
	// called in errors.
	Name  string
	index int
	words []string
	area  string
	scope string
}

// is reports whether a word of the file holds for the method.
func (m *Method) is(word string) bool { return slices.Contains(m.words, word) }

// API is what a policy is for: the methods that are served. It is immutable.
type API struct {
	methods   []*Method
	named     map[string]*Method
	endpoints []*endpoint.Endpoint
	of        map[*endpoint.Endpoint]*Method
	// passthrough is the method itself, and the others stand for requests that read and write.
	passthrough, passthroughRead, passthroughWrite *Method
	// organizations are those that there are; empty: any.
	organizations []string
}

// words returns the words of the file, apart from scope: and area:.
func words() []string {
	return []string{"read", "write", "stream", "beta", "legacy", "passthrough", "reflection", "channelz"}
}

// NewAPI returns the API of endpoints, whether or not passthrough is served, for some organizations; none: any.
func NewAPI(endpoints []*endpoint.Endpoint, organizations ...string) *API {
	a := &API{
		named: make(map[string]*Method), endpoints: endpoints,
		of: make(map[*endpoint.Endpoint]*Method), organizations: organizations,
	}
	for _, e := range endpoints {
		access := "write"
		if e.HTTPMethod == methodGet {
			access = "read"
		}
		facts := Method{Name: e.FullMethod[1:], words: []string{access}, area: areaOf(e), scope: e.Operation.GetScope()}
		switch e.Operation.GetStage() {
		case apiv1.Stage_STAGE_BETA, apiv1.Stage_STAGE_PREVIEW:
			facts.words = append(facts.words, "beta")
		case apiv1.Stage_STAGE_LEGACY:
			facts.words = append(facts.words, "legacy")
		default:
		}
		a.of[e] = a.add(facts)
		for _, s := range e.Streams {
			stream := facts
			stream.Name, stream.words = s.FullMethod[1:], append(slices.Clone(facts.words), "stream")
			a.add(stream)
		}
	}
	a.passthrough = a.add(Method{Name: apiv1.PassthroughService_Call_FullMethodName[1:], words: []string{"passthrough"}})
	a.passthroughRead = a.add(Method{Name: "a read by passthrough", words: []string{"passthrough", "read"}})
	a.passthroughWrite = a.add(Method{Name: "a write by passthrough", words: []string{"passthrough", "write"}})
	a.add(Method{Name: reflectionService + "*", words: []string{"reflection"}})
	a.add(Method{Name: channelzService + "*", words: []string{"channelz"}})
	return a
}

func (a *API) add(m Method) *Method {
	m.index = len(a.methods)
	made := &m
	a.methods = append(a.methods, made)
	a.named[m.Name] = made
	return made
}

// areaOf returns the name in a package before its version, such as vehicles.
func areaOf(e *endpoint.Endpoint) string {
	parts := strings.Split(string(e.Method.ParentFile().Package()), ".")
	return parts[max(0, len(parts)-2)]
}

// Method returns a method by its full name with a slash in front, nil if a policy does not know it.
func (a *API) Method(fullMethod string) *Method {
	name := fullMethod[1:]
	if m := a.named[name]; m != nil {
		return m
	}
	switch {
	case strings.HasPrefix(name, reflectionService):
		return a.named[reflectionService+"*"]
	case strings.HasPrefix(name, channelzService):
		return a.named[channelzService+"*"]
	default:
		return nil
	}
}

// at returns the method of the operation that an HTTP method and an escaped path reach, nil if there is none.
func (a *API) at(httpMethod, path string) *Method {
	if e := endpoint.Find(a.endpoints, httpMethod, path); e != nil {
		return a.of[e]
	}
	return nil
}
