// Package identity says who makes a call.
//
// An Identity is made once, at the edge where a call comes in, and is passed by value from there on:
// package quota shares its budgets between callers by it, package upstream its circuits, and package
// feed the requests for a feed.
//
// # Guarantees
//
// An Identity is comparable, so that it may be the key of a map. The zero value is an unknown caller
// who is interactive.
//
// # Invariants
//
// An Identity holds nothing secret, because a quota's Snapshot shows callers. The package imports
// nothing of ours, so that packages which know neither gRPC nor HTTP may use it.
//
// The package does not verify who calls: package authn does, and makes a Principal of it. Package service
// makes an Identity of a Principal, or else of what the caller says or of its address.
package identity
