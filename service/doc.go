// Package service is the gRPC side of the gateway. It serves every operation of the REST API as a unary
// method, and the pages of an operation as streams, from descriptors and annotations alone, together
// with health, reflection, channelz and, if it is wanted, PassthroughService.
//
// # Guarantees
//
// A call reaches the upstream only if its message could be read, every argument is in order and its
// deadline has not passed. What the upstream answers goes out as it was decoded, without another copy.
// Nothing that fails, panics included, takes the server down or tells the caller more than a status:
// errors of package upstream and of this package carry an ErrorInfo; any other error is logged and
// appears as Internal with the message "internal error". The reasons, and the keys of an ErrorInfo and of
// metadata, are those of samsara_gateway/api/v1/errors.proto. A Server is safe for concurrent use.
//
// grpc itself answers, without an ErrorInfo, to a request message that is malformed or too large, also if
// it is so only once it is decompressed, and to none or a second one (INTERNAL): such a call is logged
// and counted as others are. grpc also turns away what it cannot make a call of, which is neither logged
// nor counted: an encoding other than gzip (UNIMPLEMENTED), metadata above 128 KiB, binary metadata or a
// grpc-timeout that is malformed, a path without a method, a deadline that has passed.
//
// Requests may be compressed with gzip. Answers are compressed if the request was.
//
// A call beyond Config.MaxConcurrentCalls is refused before its request is read:
//
//	GATEWAY_TOO_MANY_CALLS  RESOURCE_EXHAUSTED, with the limit in the metadata and a RetryInfo.
//
// A call with more than 64 KiB of metadata is refused with REQUEST_INVALID_ARGUMENT. A call of a method that is not
// served is counted as /unknown/unknown, whatever it is called:
//
//	REQUEST_METHOD_UNKNOWN  UNIMPLEMENTED
//
// In the log these are "call refused". A connection beyond Config.MaxConnections is closed as it comes.
//
// The ErrorInfo of a call that writes, by another HTTP method than GET, says in processed whether Samsara
// acted on it: "yes", "no" or "unknown". If package upstream says nothing of that, nothing was sent: "no",
// except for a fault of the gateway, GATEWAY_INTERNAL. Passthrough writes unless its request says GET:
// errors before that is read say "no", or "unknown" for such a fault.
//
// # Callers
//
// With Config.Authenticator or Config.Policy, a call is made only by a caller that may make it. That is decided
// before its request is read, and for passthrough once more for the operation that its path reaches. Grpc's health
// service is open to all. What was proved is remembered with the connection for 30 seconds. A stream ends after a
// whole message, within a second and with its cursor, when its caller's proof or permission does:
//
//	REQUEST_PROOF_MISSING  UNAUTHENTICATED: nothing was proved, and something must be.
//	REQUEST_PROOF_INVALID  UNAUTHENTICATED: a proof is not accepted, or no longer.
//	REQUEST_PROOF_EXPIRED  UNAUTHENTICATED: a proof has expired.
//	REQUEST_DENIED         PERMISSION_DENIED: the policy does not let this caller make this call.
//	REQUEST_RATE           RESOURCE_EXHAUSTED: more calls a second than the policy lets it make.
//	REQUEST_STREAMS        RESOURCE_EXHAUSTED: more open streams than the policy lets it have.
//	GATEWAY_CREDENTIALS    UNAVAILABLE: there is no access token, because the OAuth grant could not be refreshed.
//	GATEWAY_KEYS           UNAVAILABLE: a token cannot be checked, because its issuer's keys were not to be had.
//
// These too are "call refused" in the log.
//
// # Memory
//
// A client holds, by its connection and the identity that it has proved, what is on its way to it and what it has
// not sent of a request. Identities beyond 64 on one connection hold together.
// How much of Config.Answers and Config.Requests it may hold, what it waits for, and when its connection
// is closed because others need that memory, are the rules of package lease. Answers are compressed if
// the request was, up to 64 KiB, and while the client shows that it reads; a stream goes out as its first
// message does.
//
// # Streams
//
// A StreamX method sends every page of a list in order, and ends with OK after the page that says that
// none follows, or after as much as the options ask for. A page without records is passed over, except
// in three cases: it has something besides records and pagination; it has drift of another kind than
// "unknown" and "coerced", which may have cost it its records; or it is the last one that the options ask
// for, which is sent because of its cursor. The drift of pages that are passed over is told too. The next
// page is fetched while one is being sent: at most two of them exist, however slowly the client reads.
//
// A FollowX method goes on after the last page. If nothing is new it asks again after the poll interval
// and up to a tenth more. Nothing new means that the page has no records, that its cursor is the one that
// it was asked for with, or that no page follows. A page without records is sent as a list's is, if its
// cursor differs from the one that it was asked for with. Streams with the same request, samsara-retry and
// forwarded headers are read once for all, see package feed, unless one wants no-store; a client that
// reads too slowly for the others goes on by itself. Each request goes in the name of a caller whose
// stream is there: of an interactive one before any that is batch, then of the one that has followed
// longest, and while requests fail of each in turn. After the keep-alive interval without a message, one
// says how the feed is doing and where it is. UNAVAILABLE and RESOURCE_EXHAUSTED do not end the stream,
// except for a response that is too large: they are waited out, for a random time, at first up to 1 second
// and in the end up to a minute, but not less than the upstream asks for. What refuses one caller alone
// does not hold up requests in another's name. MaxPages counts empty answers too.
//
// The cursor of a message asks for what comes after it, also at another server and after a crash: a client
// that goes on from the last message that it dealt with misses nothing. The last page of a list has none.
// Only streams have these reasons, all in the gateway's domain:
//
//	UPSTREAM_CURSOR_REJECTED     INVALID_ARGUMENT: Samsara answered 400 to a request with a cursor,
//	                             which is too old, was made for other parameters, or came with
//	                             wrong ones. The metadata has the field it was given in as
//	                             cursor_field.
//	UPSTREAM_PAGINATION_INVALID  INTERNAL: a page says that another follows and not where, does not
//	                             say whether one follows, leads back to where the stream has been,
//	                             or names a cursor that cannot be sent back: one above 16 KiB, or
//	                             with text that is not valid and was replaced. That page is not sent.
//	GATEWAY_DRAINING             UNAVAILABLE: the server stops, the connection is as old as it may become,
//	                             or the organization has changed or was removed. The stream ends after a
//	                             whole message, and goes on at another server, or over another connection.
//
// # Metadata of requests
//
//	samsara-retry          "always": repeat the request even if that could do something twice.
//	                       Any other value is refused.
//	authorization          "Bearer" and a token, the caller's proof. It is taken out of the metadata
//	                       before anything else reads that.
//	samsara-caller         Who calls, at most 64 bytes: callers share the quota fairly, and are named by
//	                       their address if they say nothing. For a caller that has proved who it is
//	                       it names a part of it, as billing/report is of billing, for the log; any
//	                       other name is refused.
//	samsara-priority       "batch" gives way to "interactive". Unary calls are interactive and
//	                       streams batch unless they say so.
//	samsara-cache          "no-store": what answers must have been asked for by this call alone.
//	samsara-org            The name of the organization that the call is for; without it the default one.
//	                       A name that there is not is refused, with those that the caller may use.
//	x-request-id           What the caller names the call by: 1 to 128 bytes of printable ASCII without
//	                       spaces. Any other name counts as none.
//	traceparent            The trace that the call belongs to, for the log and the spans.
//	tracestate             What others have added to that.
//	samsara-sandbox-fault  A fault for the sandbox. Ignored unless Config.SandboxFaults is set.
//
// # Metadata of responses
//
//	samsara-attempts       HTTP attempts made, the first one included.
//	x-request-id           What the call is named by, in the trailer of a failure: by its caller, or else
//	                       by the server. Upstream is asked under this name.
//	traceresponse          Where in a trace the call was, in the trailer of a failure, if Config.Tracer is set.
//	samsara-request-id     Samsara's id of the last attempt, escaped, if it gave one.
//	samsara-org            The organization that the call was for, beside samsara-attempts; absent if the
//	                       server has one Upstream.
//	samsara-drift          How the response differed from its descriptor; absent if it did not.
//	samsara-cache          "hit; age=" and a number of seconds in the header of an answer from the
//	                       cache.
//	samsara-cursor         Where to go on with a stream that failed: the cursor of the last
//	                       message sent, or of the request if there was none. Absent if there
//	                       is none. Absent also if it is longer than 4 KiB, not printable ASCII,
//	                       or holds the API token: then the metadata of the ErrorInfo has its
//	                       length in bytes as cursor_omitted.
//	grpc-retry-pushback-ms What a retry policy of the client must do about a call that failed, see
//	                       gRFC A6: wait for so many milliseconds, at most 60000, which is the wait
//	                       in RetryInfo, or with -1 not repeat the call. Absent if it may decide.
//
// The first two are in the header of a call that succeeds and in the trailer of one that fails; the header
// of a stream has those of the first page. The trailer of a stream has no more than the 8 KiB that clients
// in Java and C++ accept by default: if it would have more, the message of the status is cut to 256 bytes.
// samsara-drift is in the trailer of a call that succeeds, and of every stream for all of its pages,
// without the records that options.max_items cuts off; at most 16 entries and 1 KiB:
//
//	drift = entry *( ", " entry ) [ ", " more ] / more
//	entry = message "." member "=" kind [ ";n=" count ]
//	more  = "*=more" [ ";n=" count ]
//	kind  = "unknown" / "coerced" / "mismatch" / "duplicate" / "invalid_text" / "too_deep" /
//	        "null_entry" / "wrapped" / "no_body"
//
// as in "Vehicle.year=coerced;n=3, Vehicle.foo=unknown". See [transcode.Kind] for what each kind is; the
// member of "wrapped" and "no_body" is "*". A count that is left out is 1. The count of more says how often
// something occurred that is not listed. In names and ids every byte except ASCII letters, digits, "-" and
// "_" is percent-encoded.
//
// # Invariants
//
// A handler is written once for each shape of method: unary, all pages, follow, passthrough. There is no
// code for a single operation, and no net/http. Only codec.go hands memory to grpc; what does not reach it
// is released by whoever made it. A call's log line, attempts and lease belong to the call's goroutine. What
// calls share is atomic, or is the concern of packages feed and lease, except for what has a mutex each: a
// policy's grants, the memory of a connection's identities, the open streams, and the open connections. Nothing waits under one. The
// goroutine that reads a list ahead ends before its handler returns. Every handler has returned before Stop
// does, or the error of Stop says that it has not. Interceptors see every call with the status that its
// caller sees.
//
// # Files
//
// In the order in which they are to be read: server, config, operations, organization, interceptors, gate, ends,
// accepted, connections, audit, unary, identity, metadata, list, follow, pages, passthrough, codec, errors, pushback,
// log, finished, trace, reflection.
package service
