package upstream

import (
	"cmp"
	"net/http"
	"time"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/identity"
	"samsara.internal/gateway/internal/lease"
	"samsara.internal/gateway/internal/quota"
	"samsara.internal/gateway/internal/transcode"
)

// PassthroughOperation stands for what is called that is no known operation, and for the path of
// every passthrough call, so that callers cannot make new series and budgets.
const PassthroughOperation = "(passthrough)"

// OperationSpec says what the calls of an Operation have in common.
type OperationSpec struct {
	// Endpoint is the operation of the API; nil: passthrough to one that is not known.
	Endpoint *endpoint.Endpoint
	// Passthrough is for calls that say their method themselves and get the body as it is. They
	// take from the budget of Endpoint, if there is one.
	Passthrough bool
	// Pages is for the pages of a stream, which are neither from the cache nor kept there.
	Pages bool
}

// Operation is what Client.Do needs to know of an operation, resolved at start-up. It belongs to its
// client and is immutable.
type Operation struct {
	// name is that of the operation of the API, by which quota, circuits and retry budgets go.
	name string
	// method is empty if calls say theirs.
	method string
	// template is the path template, for errors, logs and metrics.
	template string
	// repeatable is whether an attempt of unknown outcome may be repeated. Passthrough calls go by
	// their method.
	repeatable bool
	// decoder translates a 2XX body; nil: the body is returned as it is.
	decoder *transcode.Decoder
	// noBody is whether the operation returns nothing: the message has no fields, or the document names
	// 204 as its success. A body that comes nonetheless is ignored.
	noBody bool
	// reads is whether the operation only reads, and an answer without a body says nothing. To a write it
	// says that it went through.
	reads bool
	// requires is whether an answer of which nothing is known cannot be right.
	requires bool
	// requiresData is whether an answer whose data is empty holds nothing.
	requiresData bool
	// pages is whether an answer is a page of a stream, which may not be sent whole.
	pages bool
	// cacheTTL is how old an answer from the cache may be, and how long one of the upstream may
	// stay there; 0: neither.
	cacheTTL time.Duration
	// quota admits every attempt; nil: nothing is waited for.
	quota *quota.Operation
}

// isRepeatable reports whether an attempt of unknown outcome may be repeated.
func (o *Operation) isRepeatable(method string) bool {
	if o.method != "" {
		return o.repeatable
	}
	return method != http.MethodPost && method != http.MethodPatch
}

// Name returns what errors call a call of the operation by.
func (o *Operation) Name(call Call) (method, template string) {
	return cmp.Or(o.method, call.Method), o.template
}

// Unfit returns the error of a call whose response its caller cannot use, although it is a success to
// the upstream. The reason is one of the gateway's own, the message for people.
func (o *Operation) Unfit(call Call, resp *Response, reason apiv1.Reason, message string, cause error) *Error {
	method, template := o.Name(call)
	return &Error{
		Code:       Code(reason),
		Reason:     reason,
		Domain:     DomainGateway,
		Message:    bounded(oneLine(message), MaxMessageBytes),
		HTTPStatus: resp.Status,
		Method:     method,
		Template:   template,
		Attempts:   resp.Attempts,
		RequestID:  resp.RequestID,
		Err:        cause,
		Processed:  processed(method, effectDone),
	}
}

// Header is one header field.
type Header struct{ Name, Value string }

// Call is one call of an operation.
type Call struct {
	// Method is GET, POST, PUT, PATCH or DELETE. It is for passthrough; else it is the operation's.
	Method string
	// Path is escaped and begins with one slash. It is sent as it is, below the base URL.
	Path string
	// Query is encoded, without the question mark. It is sent as it is.
	Query string
	// Body is JSON; nil if none is sent. It must not be modified any more, not even when
	// Do has returned.
	Body []byte
	// Header is sent in addition to the client's own. Fields that the client sets, and those
	// that steer the connection, are left out.
	Header []Header
	// From is in whose name the quota admits the attempts.
	From identity.Identity
	// Memory is who holds the answer, in flight; nil: the client itself. It is of Config.Memory.
	Memory *lease.Holder
	// RetryAlways makes the call repeatable because its caller says so.
	RetryAlways bool
	// NoStore is whether the answer must have been asked for by this call alone, and is not kept
	// for others.
	NoStore bool
}

// Response is a 2XX response. What its slices hold, those of Drift included, may be shared with
// other responses: it must not be modified.
type Response struct {
	Status int
	// Header is the response's header, sorted by name, of passthrough.
	Header []Header
	// Message is the wire form of the decoded body, nil of passthrough. It must not be used after
	// Release.
	Message []byte
	// Body is the body of passthrough, decompressed and without a byte order mark; nil if it is empty.
	// It must not be used after Release.
	Body      []byte
	Drift     transcode.Drift
	RequestID string
	// Attempts is how many HTTP attempts were made for the response, by this call or by one that
	// asked the same; 0 if it is Cached.
	Attempts int
	// Cached is whether the response comes from the cache, and Shared whether another call got it
	// that asked the same: each was new to one call only.
	Cached, Shared bool
	// Age is how long ago the upstream was asked for a cached response.
	Age time.Duration
	// Lease is the memory of Message and Body, which counts as in flight until it is over; nil if
	// they have none that counts. Whoever hands it to another, and does not release the response,
	// passes the bytes on with it.
	Lease *lease.Lease

	// token is what the request was sent with.
	token string
	// asked is when it was sent.
	asked time.Time
}

// IsNew reports whether the upstream was asked for the response by this call. What is counted of
// responses is counted of those.
func (r *Response) IsNew() bool { return !r.Cached && !r.Shared }

// HoldsToken reports whether a text, such as one of the response's, holds the API token and must not
// stand in metadata or a log.
func (r *Response) HoldsToken(text string) bool { return r.token != "" && scrub(text, r.token) != text }

// Release gives back the memory of Message and Body. What has been released already is not
// released again.
func (r *Response) Release() {
	held := r.Lease
	r.Lease, r.Message, r.Body = nil, nil, nil
	held.Release()
}
