// Package lease counts the memory that is in flight for clients, by who holds it.
//
// A Pool bounds the memory of everybody together. A Holder is one that holds some of it: a client
// connection, or a reader of a feed. A Lease is a number of bytes that a holder holds, from the
// moment it waits for them until nothing uses them any more. Whoever works with the bytes owns the
// lease and releases it once. In the end the owner hands it to grpc, which gives the bytes back by
// Put once they are written.
//
// # Guarantees
//
//   - A holder that holds nothing waits only for free memory. A holder that holds something gets n
//     bytes more if 2*(held + n) <= free - n. So one greedy holder gets a third of the memory, k of
//     them at one time get about 1/(k+2) each, and about twice that stays free for everybody else.
//   - A sixteenth of the memory is reserved for holders of at most 64 KiB: small answers find room
//     however much others hold, and however little of it comes back.
//   - Within a holder, waiters are served first come, first served. A waiter that is held back by
//     what its own holder holds delays nobody else. A waiter that lacks free memory is not overtaken
//     by takes above 64 KiB, so that large takes do not starve; smaller takes overtake it.
//   - Of the holders that wait for room, those that have left some before come before those that
//     never have. So a client that only half-sends its requests does not keep out one that sends them.
//   - A body of unknown length has to grow while it keeps what it has. One of the leases that grow,
//     the finisher, needs only free memory. All others leave it the most that it may need, beside
//     what the rules above say. So they never wait for each other, and none is refused for that. A
//     lease is the finisher only while its holder holds nothing that does not grow, or while the
//     holder may have more by the first rule, not counting the bytes of its other growing leases.
//   - A lease ends once: when its last owner releases it, when grpc has put its last piece, or when
//     the pool sweeps it, whichever comes first. Whoever comes later finds it ended and does nothing.
//   - grpc never puts what it had queued when a connection broke. While anything is handed, every
//     250 ms each holder whose connection is closed therefore loses all that it has handed. Those
//     bytes go to the garbage collector and are never used again: somebody may still be reading them.
//   - While another holder waits for free memory, a holder that has given back no piece for 5 s
//     loses its connection, the one that holds most first, until the waiters fit. A waiter that holds
//     something itself, and is not the finisher, costs nobody the connection who holds less. Without
//     a waiter the pool closes no connection, however slow its client is.
//   - What can never fit is refused at once, with ErrNoRoom.
//
// # Invariants
//
// Pool.mu guards the pool, its holders, and each lease that grows, is shared or is handed; until then
// a lease belongs to the goroutine that owns it. Nothing waits under Pool.mu, and of a connection only
// Closed is called under it. Bytes with several owners count once for the pool and once for each
// holder. The package has no goroutine: a timer sweeps, and runs only while something is handed or
// room is taken.
//
// The package knows neither gRPC nor HTTP. A Lease implements grpc's mem.BufferPool by its methods
// alone.
package lease
