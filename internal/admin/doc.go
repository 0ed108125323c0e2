// Package admin answers over HTTP what operators and orchestrators ask of a gateway.
//
//	/metrics   the metrics, in the formats of Prometheus
//	/livez     200 if the process answers; /healthz is the same
//	/readyz    200 if the gateway takes calls, else 503; a line for everything that is wrong follows
//	/channelz  grpc's servers and their connections, as JSON; ?start= goes on after the last one
//	/quota     the state of the budgets, as JSON of Quotas; 404 if the gateway keeps none
//	/debug/pprof/
//	           profiles for go tool pprof, if they are wanted; of at most 60 seconds
//
// A gateway whose quota is without its store, or that goes on with the last good content of a file,
// is ready all the same, and /readyz says so.
//
// # Guarantees
//
// A Server answers GET and HEAD only, and no Host but IP addresses, localhost and Config.Hosts. It reads no request body, and bounds the time and the header of
// every request. What is asked changes nothing in the gateway. Config's functions are called once for
// each request that needs them, concurrently.
//
// # Invariants
//
// The JSON of Quota is a contract, which `gateway quota` and tools of operators read: a member keeps
// its name, unit and meaning. Times are numbers of seconds.
//
// The package neither authenticates nor encrypts: who may reach its address is the concern of the
// configuration, which refuses plaintext beyond loopback without --admin-insecure.
package admin
