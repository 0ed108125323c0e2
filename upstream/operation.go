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

// PassthroughOperation stands for every operation that is not known, and for the path of every
// passthrough request, so that callers cannot make new series and budgets.
const PassthroughOperation = "(passthrough)"

// OperationSpec says what the requests of an Operation have in common.
type OperationSpec struct {
	// Endpoint is the operation of the API; nil: passthrough to one that is not known.
	Endpoint *endpoint.Endpoint
	// Passthrough is for requests that say their method themselves and get the body as it is. They
	// take from the budget of Endpoint, if there is one.
	Passthrough bool
	// Pages is for the pages of a stream, which are neither read from the cache nor kept there.
	Pages bool
}

// Operation is what Client.Do needs to know of an operation, resolved at start-up. It belongs to its
// client and is immutable.
type Operation struct {
	// name is that of the operation of the API. Quota, circuits and retry budgets are kept by it.
	name string
	// method is empty if requests say theirs.
	method string
	// template is the path template, for errors, logs and metrics.
	template string
	// repeatable is whether an attempt of unknown outcome may be repeated. For passthrough requests the
	// method decides.
	repeatable bool
	// decoder translates a 2XX body; nil: the body is returned as it is.
	decoder *transcode.Decoder
	// noBody is whether the operation returns nothing: the message has no fields, or the document names
	// 204 as its success. A body that comes nonetheless is ignored.
	noBody bool
	// reads is whether the operation only reads, so that an answer without a body says nothing. To a
	// write such an answer says that it succeeded.
	reads bool
	// requires is whether an answer without any known member cannot be right.
	requires bool
	// requiresData is whether an answer whose data is empty holds nothing.
	requiresData bool
	// pages is whether an answer is a page of a stream, of which some records may not be sent.
	pages bool
	// cacheTTL is how old an answer from the cache may be, and how long an answer of the upstream may
	// stay there; 0: the cache is not used.
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

// Name returns the method and the path template by which errors name a request of the operation.
func (o *Operation) Name(req Request) (method, template string) {
	return cmp.Or(o.method, req.Method), o.template
}

// Unfit returns the error of a request whose response the caller cannot use, although the upstream
// answered success. The reason is one of the gateway's own, the message is for people.
func (o *Operation) Unfit(req Request, resp *Response, reason apiv1.Reason, message string, cause error) *Error {
	method, template := o.Name(req)
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

// Request is one request of an operation.
type Request struct {
	// Method is GET, POST, PUT, PATCH or DELETE. It is for passthrough; otherwise the operation's counts.
	Method string
	// Path is escaped and begins with one slash. It is sent as it is, below the base URL.
	Path string
	// Query is encoded, without the question mark. It is sent as it is.
	Query string
	// Body is JSON; nil if none is sent. It must not be modified any more, not even after Do has
	// returned.
	Body []byte
	// Header is sent in addition to the client's own. Fields that the client sets, and those
	// that steer the connection, are left out.
	Header []Header
	// From is the identity for which the quota admits the attempts.
	From identity.Identity
	// Memory is the holder of the answer in flight; nil: the client itself. It is of Config.Memory.
	Memory *lease.Holder
	// ID is what the caller and the gateway name the request by, which is sent as X-Request-Id; empty: none is sent.
	ID string
	// Spent is where what becomes of the request is added up; nil: nowhere.
	Spent *Spent
	// RetryAlways makes the request repeatable because its caller says so.
	RetryAlways bool
	// NoStore is whether the upstream must be asked for this request alone, and the answer is not kept
	// for others.
	NoStore bool
}

// Spent is how long a request of a client took, and where. Do writes to it until it returns.
type Spent struct {
	// Quota is the time in the quota's queues, Upstream that of attempts from connecting to the last byte, and Translation
	// that from there to the message.
	Quota, Upstream, Translation time.Duration
}

// Response is a 2XX response. Its slices, including those of Drift, may be shared with other responses:
// they must not be modified.
type Response struct {
	Status int
	// Header is the response's header, sorted by name. It is set for passthrough alone.
	Header []Header
	// Message is the wire form of the decoded body; nil for passthrough. It must not be used after
	// Release.
	Message []byte
	// Body is the body for passthrough, decompressed and without a byte order mark; nil if it is empty.
	// It must not be used after Release.
	Body      []byte
	Drift     transcode.Drift
	RequestID string
	// Attempts is how many HTTP attempts were made for the response, by this request or by another one
	// that asked the same; 0 if it is Cached.
	Attempts int
	// Cached is whether the response comes from the cache, and Shared whether another request that
	// asked the same got it. A response is new to one request only.
	Cached, Shared bool
	// Age is how long ago the upstream was asked for a cached response.
	Age time.Duration
	// Lease is the memory of Message and Body, which counts as in flight until the lease is over; nil
	// if their memory does not count. Whoever hands the lease on, and does not release the response,
	// hands the bytes on with it.
	Lease *lease.Lease

	// token is the token that the request was sent with, and key is what it is for.
	token, key string
	// asked is when the request was sent.
	asked time.Time
}

// IsNew reports whether the upstream was asked for the response by this request. Only such responses
// are counted.
func (r *Response) IsNew() bool { return !r.Cached && !r.Shared }

// HoldsToken reports whether a text, such as one of the response's, holds the API token. Such a text must
// not appear in metadata or a log.
func (r *Response) HoldsToken(text string) bool { return r.token != "" && scrub(text, r.token) != text }

// Release gives back the memory of Message and Body. A second Release does nothing.
func (r *Response) Release() {
	held := r.Lease
	r.Lease, r.Message, r.Body = nil, nil, nil
	held.Release()
}
