package endpoint

import "strings"

// Find returns the endpoint that an HTTP method and an escaped path are for, nil where there is
// none. Of several, one is preferred that has a literal segment where others have a name. It takes
// time in proportion to the endpoints.
func Find(endpoints []*Endpoint, method, path string) *Endpoint {
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	var best *Endpoint
	for _, e := range endpoints {
		if e.HTTPMethod == method && e.matches(segments) && (best == nil || e.moreLiteral(best)) {
			best = e
		}
	}
	return best
}

func (e *Endpoint) matches(segments []string) bool {
	if len(e.path) != len(segments) {
		return false
	}
	for i, s := range e.path {
		if len(s.fields) == 0 && s.literal != segments[i] {
			return false
		}
	}
	return true
}

// moreLiteral reports whether e, which matches the same path as other, has the first literal
// segment that the other has not.
func (e *Endpoint) moreLiteral(other *Endpoint) bool {
	for i, s := range e.path {
		if literal := len(s.fields) == 0; literal != (len(other.path[i].fields) == 0) {
			return literal
		}
	}
	return false
}
