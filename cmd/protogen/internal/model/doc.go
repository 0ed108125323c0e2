// Package model turns an OpenAPI document into what the gateway's API has to say: operations with their
// annotations, and the members of their requests and responses with the kind of value that each one has.
//
// # Guarantees
//
// It refuses what cannot be expressed without loss: parameters in headers or cookies, arrays and objects
// in other styles than form, bodies that are not JSON, pages without one list of records. Such an
// operation has to be left out by name (see LeftOut), so that none is lost unseen. All problems of a
// document are in the Model, each with its location in the document.
//
// # Invariants
//
// The package knows nothing of proto files: which names, numbers and messages there are is for package
// surface, which also knows what earlier runs have promised.
//
// # Files
//
// In the order in which they are to be read: leftout, model, schema, conjunction, facts, package.
package model
