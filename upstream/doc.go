// Package upstream is the HTTP side of the gateway: it sends requests to the Samsara REST API, again if
// that helps and does no harm, and maps what comes back onto bodies and gRPC codes.
//
// A Client has Operations, which are resolved at start-up, and Do makes one request of an operation.
//
// # Guarantees
//
//   - Every error is an *Error whose code follows from the HTTP status alone, never from a text. What
//     the last attempt ended with stays the error, whatever refuses a further one.
//   - An attempt whose outcome is unknown is repeated only if the request says that it may be.
//   - The failures of one caller refuse nobody else.
//   - No wait outlives the caller's deadline. Every wait and every size is bounded, and the memory of
//     all responses together.
//   - Callers who read the same at the same time share one upstream request, but neither their
//     deadlines nor their tokens. Connections and buffers are used again.
//   - The API token goes to the configured host only. It is in no error, log line or observation.
//   - A Client, its Operations and a Token are safe for concurrent use. A Response is its caller's, who
//     releases it; what its slices hold may be shared and must not be modified.
//
// It refuses responses above a size, redirects to other hosts, and 2XX bodies that are not JSON of the
// expected kind. A write that has no body in its 2XX response has succeeded nevertheless.
//
// # Invariants
//
// A request goes through layers: cache, share, retry, admit and attempt, each of which knows the next
// one alone. retry alone counts attempts, and alone turns a refusal into part of a verdict or into an
// error. Codes for what Samsara did are named in status.go alone.
//
// A request runs on its caller's goroutine. Other goroutines are net/http's if HTTP/2 is used, one of
// http1 while it sends a large body, and the cache's one, which ends with Client.Close. The locks are
// those of share, of records, of a single circuit or retry budget, and of Token: that of a circuit or
// retry budget may be taken under that of records, and lease.Pool's under share's, never the other way
// round. None is held while anything is waited for. The memory of a body belongs to the attempt, then to
// the Response.
//
// Of gRPC the package knows codes and status alone.
//
// # Files
//
// The files, in the order in which they are to be read: upstream, preview, cache, share, retry, admit,
// attempt, records, circuit, retrybudget, request, transport, body, decode, operation, refusal, status,
// error, errorbody, retryafter, config, token. Each names only what comes after it, except that preview
// names something of upstream, error of status, and errorbody of decode.
package upstream
