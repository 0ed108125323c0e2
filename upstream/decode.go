package upstream

import (
	"bytes"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/lease"
	"samsara.internal/gateway/internal/transcode"
)

// received is a 2XX response, its body if that is used, and the token that the request was sent with.
type received struct {
	status int
	header http.Header
	token  string
	key    string // of the token
	body   []byte
	lease  *lease.Lease // of body
}

// translate returns the Response for what was received. The lease is the Response's if Response.Lease is
// set, and otherwise stays the caller's.
func translate(op *Operation, from *received) (*Response, *Error) {
	resp := &Response{Status: from.status, RequestID: requestID(from.token, from.header), token: from.token, key: from.key}
	if op.decoder == nil {
		resp.Header = headerList(from.token, from.header)
		if !isBlank(from.body) {
			resp.Body, resp.Lease = bytes.TrimPrefix(from.body, []byte(byteOrderMark)), from.lease
		}
		return resp, nil
	}
	if failure := decode(op, from, resp); failure != nil {
		failure.HTTPStatus, failure.RequestID = resp.Status, resp.RequestID
		return nil, failure
	}
	return resp, nil
}

// decode sets resp.Message and resp.Drift. A status that promises no content counts for more than a
// missing or malformed body.
func decode(op *Operation, from *received, resp *Response) (failure *Error) {
	promisesNone := resp.Status == http.StatusNoContent || resp.Status == http.StatusResetContent
	body := from.body
	switch blank := isBlank(body); {
	case op.noBody, blank && op.method == http.MethodDelete:
		resp.Message = []byte{}
		return nil
	case blank && op.reads && !promisesNone:
		return fault(apiv1.Reason_REASON_UPSTREAM_BODY_INVALID, "it is empty", nil)
	case blank:
		resp.Message = []byte{}
		op.decoder.Absent(&resp.Drift)
		return nil
	}
	if op.pages {
		resp.Drift.ByRecord()
	}
	message, err := op.decoder.Append(from.lease.Buffer(len(body)/2), body, &resp.Drift)
	switch {
	case err != nil && promisesNone:
		resp.Message, resp.Drift = []byte{}, transcode.Drift{}
		op.decoder.Absent(&resp.Drift)
		return nil
	case err != nil:
		return fault(apiv1.Reason_REASON_UPSTREAM_BODY_INVALID, err.Error(), err)
	case maybeError(message, &resp.Drift) && isErrorObject(body):
		text, id := readErrorBody(body[:min(len(body), maxErrorBodyBytes)])
		if id != "" {
			resp.RequestID = bounded(scrub(id, from.token), maxRequestIDBytes)
		}
		return fault(apiv1.Reason_REASON_UPSTREAM_ERROR_IN_BODY, scrub(text, from.token), nil)
	}
	resp.Drift.Rename(func(member string) string { return scrubMember(member, from.token) })
	if op.requires && op.decoder.IsEmpty(message) {
		switch found := len(resp.Drift.Findings()); {
		case found > 0 && !isWrapped(&resp.Drift) && op.decoder.Foreign(body):
			return fault(apiv1.Reason_REASON_UPSTREAM_BODY_UNKNOWN, membersOf(&resp.Drift), nil)
		case found == 0 && op.method != http.MethodDelete && (len(message) == 0 || op.requiresData):
			op.decoder.Absent(&resp.Drift) // The body is null, an empty object, or has nothing but nulls.
		}
	}
	from.lease.Keep(message)
	resp.Message, resp.Lease = message, from.lease
	return nil
}

// maybeError reports whether the response's body may be an error: the message holds nothing of it, or
// all of it was read as what belongs below `data`.
func maybeError(message []byte, drift *transcode.Drift) bool {
	return len(message) == 0 && len(drift.Findings()) > 0 || isWrapped(drift)
}

func isWrapped(drift *transcode.Drift) bool {
	return slices.ContainsFunc(drift.Findings(), func(f transcode.Finding) bool { return f.Kind == transcode.Wrapped })
}

// membersOf returns a text that lists the members of a body that differ.
func membersOf(drift *transcode.Drift) string {
	var names []string
	for _, f := range drift.Findings() {
		if name := strconv.Quote(f.Member); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return "it has " + strings.Join(names, ", ")
}

// byteOrderMark may precede JSON. It does not belong to it (RFC 8259, section 8.1).
const byteOrderMark = "\ufeff"

// isBlank reports whether a body holds nothing.
func isBlank(body []byte) bool {
	return len(bytes.TrimLeft(bytes.TrimPrefix(body, []byte(byteOrderMark)), " \t\r\n")) == 0
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
