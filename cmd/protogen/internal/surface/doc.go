// Package surface keeps the proto files of the gateway's API: it reads the tree of earlier runs, brings
// it up to what a document says, and writes it.
//
// # Guarantees
//
// What the tree already says is for ever: every package, message, field, name, number and type stays, so
// a client of any earlier tree keeps working. What the document adds is added, what it lacks stays as
// deprecated. It refuses files in the tree that it would not have written, and it writes nothing if it
// refuses anything. Drift writes nothing at all, and says what Update would change.
//
// Beside the proto files it keeps SURFACE.json, which says what the tree is and what it was made from
// (see Facts), and CHANGELOG.md, with a section for each version of the surface.
//
// # Invariants
//
// The tree is the only memory: what a field was, and which number is next, is read from it and written
// down nowhere else. The same model and tree give the same bytes. What is generated from the tree is not
// read, and neither is Samsara's document, of which package model has all that is needed.
//
// # Files
//
// In the order in which they are to be read: surface, regenerate, tree, read, merge, fields, forms,
// variants, answer, names, twins, comments, print, drift, facts, changelog.
package surface
