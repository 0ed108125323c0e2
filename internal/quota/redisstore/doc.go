// Package redisstore shares the budgets of package quota between processes, in Redis 5 or later, or
// Valkey.
//
// # Guarantees
//
// Each decision is one script, by the server's clock: it takes from all budgets or from none, and
// processes need not agree on the time. Every key expires. A call returns by the deadline of its
// context, is not repeated, and follows no redirection. No error shows the URL, which may hold a password. A
// Store is safe for concurrent use, and the limiter that has it closes it.
//
// # Versions of the format
//
// Replicas of different builds may use one Redis at the same time, above all during an upgrade. What
// changes its meaning gets a new key, whose prefix tells the version that brought it:
//
//	samsara-quota:{ORGANIZATION}:replicas       1  who is there
//	samsara-quota:{ORGANIZATION}:state:BUDGET   1  the budget's pause and pace
//	samsara-quota:{ORGANIZATION}:log:BUDGET     1  its last admissions, of a window of a second or less
//	samsara-quota:2:{ORGANIZATION}:log:BUDGET   2  its last admissions, of a longer window
//	samsara-quota:2:{ORGANIZATION}:version1     2  when a replica of version 1 was last seen
//
// Version 1 admitted one second's worth at once, and kept no more than that of a longer window. The
// name of a replica says which version it is of. While a replica of version 1 is there, and for a
// window after it was, an admission from a longer window is taken by both versions: in version 1's
// log by its terms, and in the present one. So all replicas together keep to the limit at any time of
// an upgrade, and admit no less than before it. Going back is not exact: for a window after the first
// replica of version 1 came, a limit whose window is longer than a second may be exceeded, twofold at
// most.
//
// # Invariants
//
// A key never changes its meaning. A later version that changes one adds a key, does the same as
// above while replicas of an earlier version are there, and says in its own name that it is there.
// All keys of an organization have one hash tag, so that a script touches one slot of a cluster.
//
// The package decides nothing by itself, and does not notice by itself that Redis is away: package
// quota does both.
package redisstore
