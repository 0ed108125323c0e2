package http1

import (
	"fmt"
	"net/http"
	"strconv"

	"golang.org/x/net/http/httpguts"
)

// head returns the bytes of the request up to its body, which must be put back into t.heads. The error
// says why the request must not be sent, and shows no value of a header: these are secret.
func (t *Transport) head(req *http.Request) (*[]byte, error) {
	server := t.cfg.Server
	switch {
	case req.URL.Scheme != server.Scheme || req.URL.Host != server.Host:
		return nil, fmt.Errorf("server must be %s://%s, is %s://%s", server.Scheme, server.Host, req.URL.Scheme, req.URL.Host)
	case !httpguts.ValidHeaderFieldName(req.Method):
		return nil, fmt.Errorf("method must be a token, is %q", req.Method)
	case req.Body != nil && req.ContentLength <= 0:
		return nil, fmt.Errorf("length of a body must be positive, is %d", req.ContentLength)
	}
	uri := req.URL.RequestURI()
	for i := range len(uri) {
		if uri[i] <= ' ' || uri[i] == 0x7f {
			return nil, fmt.Errorf("URI must be escaped, is %q", uri)
		}
	}
	head, ok := t.heads.Get().(*[]byte)
	if !ok {
		head = new([]byte)
	}
	b := append((*head)[:0], req.Method...)
	b = append(b, ' ')
	b = append(b, uri...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, server.Host...)
	b = append(b, "\r\n"...)
	for name, values := range req.Header {
		switch name {
		case "Host", "Content-Length", "Transfer-Encoding", "Trailer", "Connection":
			continue // the transport itself frames the request
		}
		if !httpguts.ValidHeaderFieldName(name) {
			return nil, fmt.Errorf("header must have valid names, has %q", name)
		}
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) {
				return nil, fmt.Errorf("header must have valid values, that of %s is not", name)
			}
			b = append(b, name...)
			b = append(b, ": "...)
			b = append(b, value...)
			b = append(b, "\r\n"...)
		}
	}
	if req.Close {
		b = append(b, "Connection: close\r\n"...)
	}
	if length, said := ContentLength(req); said {
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, length, 10)
		b = append(b, "\r\n"...)
	}
	*head = append(b, "\r\n"...)
	return head, nil
}

// ContentLength returns the Content-Length of a request, and reports whether the request has that field.
func ContentLength(req *http.Request) (length int64, said bool) {
	return req.ContentLength, req.Body != nil || expectsLength(req.Method)
}

// expectsLength reports whether servers expect a Content-Length of 0 if there is no body.
func expectsLength(method string) bool {
	return method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch
}
