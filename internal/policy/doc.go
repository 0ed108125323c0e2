// Package policy decides who may call what: identities, methods, organizations.
//
// # Guarantees
//
// A call is allowed if a rule allows it and none denies it: a rule that denies beats every rule that allows,
// whatever their order. What no rule speaks of is denied. Parse refuses a policy with anything that cannot have
// been meant: an unknown member, a pattern that matches no method or organization, a name that is there twice. A
// Policy and what comes of it is immutable and safe for concurrent use.
//
// # The file
//
// A policy is YAML, at most 1 MiB, with at most 1000 groups, rules and limits each:
//
//	groups:                     # names for identities
//	  dispatch: ["jwt:system:serviceaccount:dispatch:*", "token:dispatch"]
//	rules:
//	  - name: everybody reads   # in errors and in the audit log
//	    identities: ["*"]
//	    methods: [read, stream, reflection]
//	    effect: allow
//	  - name: dispatch writes routes
//	    identities: ["group:dispatch"]
//	    methods: ["area:routes & write"]
//	    organizations: [north, south]   # all, if it is left out
//	    effect: allow
//	limits:                     # the first one that matches an identity and organization counts
//	  - name: reports wait
//	    identities: ["token:report"]
//	    weight: 0.5             # of the quota, beats --quota-weights; 0.001 to 1000
//	    priority: batch         # interactive calls become batch
//	    requests-per-second: 5  # more are refused; at most twice as many at once
//	    concurrent-streams: 10  # more are refused
//
// An identity is written as MEANS:NAME, where MEANS is certificate, jwt or token, and an asterisk in NAME stands for
// any number of characters. "*" is everybody who has proved something, "anonymous" everybody who has not, and
// "group:NAME" a group.
//
// A method is written as one or more of these with & in between, all of which must hold: read (HTTP GET), write
// (another HTTP method), stream, beta (and preview), legacy, passthrough, reflection, channelz, "scope:NAME" (a scope
// of Samsara's tokens), "area:NAME" (a folder of proto/), a pattern of full names such as
// "samsara_gateway.tags.v1.*" (see package glob), and "*" for every method. grpc.health is open to all, and cannot be
// named.
//
// Passthrough is allowed if a rule allows passthrough, for reads or writes, and the operation that the path reaches is
// allowed as well.
//
// # Files
//
// In the order in which they are to be read: policy, grant, parse, pattern, method, meter, check.
package policy
