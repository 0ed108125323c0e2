// Package catalog finds methods by what people know of them: names of gRPC, of Samsara's document and
// of its SDKs, names that a method has had, paths with ids in them, scopes, stages, or a part of any.
//
// Search returns all methods that words are found in, the best match first. Resolve returns the one
// method that a name stands for.
//
// # Guarantees
//
// A Catalog is immutable and safe for concurrent use. Resolve returns one method or says why not: an
// *AmbiguousError has the candidates, an *UnknownError at most 3 similar names. The same words find
// the same methods in the same order.
//
// # Invariants
//
// The package holds no table of names. It knows of a method what its descriptor and its annotation
// say. What a method was called before follows from its operationId, and so does its name in
// Samsara's SDKs. So a new operation is found without a change here.
//
// The package serves people at a command line, not calls: each search takes time in proportion to
// all methods.
package catalog
