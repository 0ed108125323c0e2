// Package feed reads a feed once for everybody who follows it.
//
// A Hub has readers. A reader is one goroutine and one chain of requests, each from where the last
// answer ended, and keeps its pages for a while. A Follower is one open stream, which takes its
// pages from a reader that is at its cursor. Pages asks for the pages; each follower brings its own.
//
// # Guarantees
//
//   - What a follower gets follows the cursor that it began at, without a gap and each record once,
//     whichever readers it gets it from.
//   - Followers with the same Key share a reader if they are at the same cursor, or at one from which
//     it keeps what follows. There are never more readers than followers, and readers that come to
//     the same cursor are merged.
//   - The fastest follower sets the pace. A slow one delays nobody: it falls behind what is kept, at
//     most 16 pages, and 8 MiB or one page, and goes on with another reader.
//   - A reader asks for another page only if a follower has room for it. While it has one follower at
//     most 2 pages exist at one time, as for lists.
//   - A request goes through the Pages, and in the name, of a follower that is there: interactive
//     before batch, then whoever has followed longest. While requests fail, each name has its turn.
//   - A failure that the Pages outlast is waited out: for a random time, at first up to 1 s and in
//     the end up to a minute, but not less than the failure asks for. Any other error ends the
//     followers of the reader, and so does a panic, with what Config.Panicked returns.
//   - What a page costs for a follower does not grow with the number of followers: nobody walks them for that.
//   - A reader ends with its last follower. Leave waits for its goroutine, and Hub.Close for all.
//
// # Invariants
//
// Hub.mu guards readers, kept pages and where followers are; what holds whenever it is not locked is
// written at Hub. It is never held while a page is asked for. The mutex of a lease.Pool may be taken
// under it, never the other way round. A kept page has a lease of the reader's, and each follower
// gets one of its own by Lease.Share. A reader uses nothing of a follower that has left.
//
// # Files
//
// In the order in which they are to be read: hub, reader, page, follower, names, rank, silence.
//
// The package knows neither gRPC nor HTTP. Of this module it imports only packages identity and
// lease. It does not look at the content of a page.
package feed
