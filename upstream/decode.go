package upstream

import (
	"maps"
	"net/http"
	"slices"

	"samsara.internal/gateway/internal/transcode"
)

// translate makes the Response of an exchange, of which it keeps nothing but what the Response holds.
func translate(op *Operation, from *exchanged) (*Response, *Error) {
	resp := &Response{Status: from.status, RequestID: requestID(from.token, from.header)}
	if op.decoder == nil {
		resp.Header = headerList(from.token, from.header)
		if len(from.body.bytes) > 0 {
			resp.Body = from.body.bytes
			resp.Lease = from.body.pass()
		}
		return resp, nil
	}
	if failure := decode(op, from, resp); failure != nil {
		failure.HTTPStatus, failure.RequestID = resp.Status, resp.RequestID
		return nil, failure
	}
	return resp, nil
}

// decode sets resp.Message and resp.Drift. Statuses that promise no content are taken as they
// are: 7 operations declare a body with 204, so it is read where there is one.
func decode(op *Operation, from *exchanged, resp *Response) (failure *Error) {
	promisesNone := resp.Status == http.StatusNoContent || resp.Status == http.StatusResetContent
	if op.noBody || promisesNone && len(from.body.bytes) == 0 {
		resp.Message = []byte{}
		return nil
	}
	body := from.body.bytes
	if len(body) == 0 {
		return fault(ReasonBodyInvalid, "it is empty", nil)
	}
	message, err := op.decoder.Append(from.body.lease.Buffer(len(body)/2), body, &resp.Drift)
	switch {
	case err != nil && promisesNone:
		resp.Message, resp.Drift = []byte{}, transcode.Drift{}
		return nil
	case err != nil:
		return fault(ReasonBodyInvalid, err.Error(), err)
	case len(message) == 0 && len(resp.Drift.Findings()) > 0 && isErrorObject(body):
		text, id := readErrorBody(body)
		if id != "" {
			resp.RequestID = bounded(scrub(id, from.token), maxRequestIDBytes)
		}
		return fault(ReasonErrorInBody, scrub(text, from.token), nil)
	}
	resp.Drift.Rename(func(member string) string { return scrubMember(member, from.token) })
	from.body.lease.Keep(message)
	resp.Message = message
	resp.Lease = from.body.pass()
	return nil
}

// requestID returns the upstream's name for a request from the response's header.
func requestID(token string, header http.Header) string {
	id := header.Get("Request-Id")
	if id == "" {
		id = header.Get("X-Request-Id")
	}
	if id == "" {
		return ""
	}
	return bounded(scrub(oneLine(id), token), maxRequestIDBytes)
}

func headerList(token string, header http.Header) []Header {
	var list []Header
	for _, name := range slices.Sorted(maps.Keys(header)) {
		for _, value := range header[name] {
			list = append(list, Header{Name: scrub(name, token), Value: scrub(value, token)})
		}
	}
	return list
}
