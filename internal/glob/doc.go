// Package glob matches the names of gRPC methods against the patterns in settings.
//
// A pattern is compared with a method's full name, such as
// "samsara_gateway.vehicles.v1.VehiclesService/ListVehicles", in which dots and the slash are
// characters like others: "samsara_gateway.vehicles.v1.*" matches every method of that package,
// "*/List*" every method that lists, "*" every method. As in package path, * stands for any
// characters, ? for one, and a character class such as [A-C] for one of its characters.
//
// # Guarantees
//
// Parse refuses a pattern that is empty or malformed, and says why. In a pattern and in a name the
// slash that gRPC writes in front may be there or not. Match never fails: a Pattern that Parse did
// not return may be malformed, and then matches nothing. A Pattern is a string: it is comparable,
// immutable and safe for concurrent use.
//
// # Invariants
//
// The matching is that of package path, so that a pattern means here what it means to a shell. The
// only exception is that the slash counts as a dot, so that * crosses it.
//
// The package does not know which methods there are. Package config refuses a pattern that matches
// none of them.
package glob
