// Package words makes names, and the words of comments, of what the document calls things.
//
// # Guarantees
//
// Split takes a name apart. Snake, UpperCamel, JSONName and Identifier make names of it for a proto file,
// and Unique finds one that is not taken. Clause and Noun say in English what an RPC does and what it is
// about. The package keeps nothing: equal arguments give equal names.
//
// # Invariants
//
// The surface keeps the names that it has. So a change of a rule here must reach only what the tree does
// not have yet, and comments. The English is told by endings and short lists of exceptions, and is only
// as good as these.
package words
