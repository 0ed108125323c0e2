// Package quota admits attempts by several budgets together, and fairly between callers.
//
// A Limiter has a budget for the token, one for the organization, and one for each Operation. Every
// attempt takes from all three or from none.
//
// # Guarantees
//
//   - Exactness: in no interval of a budget's window are more attempts admitted than its limit
//     says. Each budget keeps the times of its last admissions, a sliding window, so that there is no
//     double burst at a window's edge. While nobody waits, as many attempts go at once as the limit
//     says: of 100 a minute, all 100. An attempt counts from when its request is written, however
//     long its connection took to open: see Permit.Renew.
//   - Room for the network: it squeezes together requests that left evenly, so every window is
//     lengthened by a margin. With the default of 4 % a budget is used to 96 %.
//   - Fairness: those who wait for a budget are served by start-time fair queueing (Goyal, Vin,
//     Cheng 1996), interactive calls before batch calls, which keep a guaranteed share. While
//     somebody waits, admissions are spread evenly over the window, so that a caller who asks for
//     one at a time is not held up by another's burst. A waiter is ordered by the budget that holds
//     it up, and never holds up one whose budgets are free.
//   - Bounds: a wait that would outlast the caller's deadline or MaxWait is refused at once with a
//     RefusedError; queues are bounded; callers who wait for nothing are forgotten.
//   - After a 429 the budget pauses, resumes gently, and is lowered while 429s go on: see Pause.
//   - A Limiter and its Operations are safe for concurrent use. A Permit is for one goroutine.
//
// # A store
//
// Several processes share their budgets through a Store, such as Redis. Nobody waits for the store
// longer than Config.StoreTimeout: without its answer every process admits its share of each budget,
// which is the budget divided by the replicas last seen. If a budget is smaller than their number,
// each replica admits one now and then, together no more than the budget over time. While some
// processes have lost the store and others have not, a budget may be exceeded by the shares of those
// that have. The same may happen once, in the window in which the store is lost. Coming back is
// exact: for one window both the share and the store have to agree.
//
// # Invariants
//
// Limiter.mu guards all budgets, queues and what is known of the store, so that budgets are taken
// together. It is never held while somebody waits, or while the store is asked. A waiter that is
// signalled has left its queue. One goroutine, the heartbeat to the store, ends with Limiter.Close; a
// timer wakes the next waiter.
//
// golang.org/x/time/rate and libraries like it were not used: a token bucket admits twice its burst
// in one window, takes from one budget at a time, and queues by arrival. The package does not know
// Redis. It does not repeat attempts: Rest only lets Snapshot show who waits before another one.
//
// # Files
//
// The files, in the order in which they are to be read: limiter, schedule, waiters, fair, link,
// budget, snapshot, errors, limit, store. Each names only what comes after it.
package quota
