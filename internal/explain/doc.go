// Package explain says what a call would do: the HTTP request that it makes, the budgets, times and
// repeats that bound it, how its pages are read, and the reasons that it can end with.
//
// An Explainer makes a Plan of a method's name and a request in protobuf's JSON form. A Plan is
// written as JSON, as text for people by WriteText, or as a command line by Request.Curl.
//
// # Guarantees
//
// The package asks nobody for anything. It shows no token, because its client has none: Token stands
// for it. A request that the gateway would refuse is refused with the same violations, beside a Plan
// without what depends on the request. An Explainer is safe for concurrent use.
//
// # Invariants
//
// The request is made by the code that makes it for the gateway, package endpoint and the gateway's
// own client of package upstream, and each number is taken from what is in force. So the package
// says what the gateway does: none of it may be written down here a second time. The JSON of a Plan is
// a contract with the tools that read it.
//
// Only cmd/gateway imports this package.
//
// # Files
//
// In the order in which they are to be read: explain, plan, request, pages, reasons, corrections,
// curl, text.
package explain
