// Package similar finds the names that somebody may have meant by a name that does not exist.
//
// # Guarantees
//
// Names returns the nearest names first. Of names that are equally near, the ones that come first in the
// sequence win. It returns a name once, and only if at most a third of the letters that were written
// have to change. Case and underscores do not count. A name of more than 64 bytes has no similar
// names, because the time for each candidate grows with the length of both. The package keeps
// nothing and is safe for concurrent use.
//
// # Invariants
//
// A distance is that of optimal string alignment: bytes are inserted, removed, replaced or exchanged
// with the next one, and no byte is changed twice. So two letters in the wrong order are one mistake.
//
// The package does not know what the names are of. The caller bounds how many candidates there are.
package similar
