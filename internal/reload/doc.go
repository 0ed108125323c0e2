// Package reload keeps in memory what files say, and follows the files while the process runs.
//
// A Value is the last good value of a file, or of several files that make one value together. A
// Poller has Values follow their files.
//
// # Guarantees
//
//   - Files are read whole, once a second and when somebody asks, and never watched. So a file that
//     is written in place, a file that is renamed over, the swap of folders by which Kubernetes
//     updates secrets, and NFS are all seen alike.
//   - A change is taken up only if all of it is good. Whatever else is found (no file, no right to
//     read it, an empty or half-written file, one that is too large or not regular, no file
//     descriptor left) is logged once and counted, and the last good value stays in use.
//   - Get never waits. Again and Await wait for a second at most, or as long as they are told, and
//     not beyond the end of their context.
//   - A file whose network is gone holds up no other file, and Poller.Run by a second at most.
//   - No error of this package holds anything of a file's content. The errors of File.Parse must not
//     either.
//
// A Value and a Poller are safe for concurrent use. A Value that no Poller runs does not change.
//
// # Invariants
//
// The value is an atomic pointer: only New and then the one goroutine of the file's Poller store to
// it, and only they use the contents that it was made of. Value.mu guards what became of looking and
// who waits for it. Each file has one goroutine, which ends with the context of Poller.Run. The
// package imports nothing of ours.
package reload
