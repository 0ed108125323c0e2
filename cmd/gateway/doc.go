// Gateway offers the Samsara REST API as typed gRPC.
//
//	gateway              serve
//	gateway sandbox      serve an embedded Samsara alone, over HTTP
//	gateway endpoints    list the methods served, or find some
//	gateway explain      print the HTTP request that a call makes, and all that bounds it
//	gateway protos       write the API's proto files, to generate clients from
//	gateway quota        print the state of a running gateway's budgets
//	gateway config check say whether a gateway would start
//	gateway policy check explain a policy: who may do what
//	gateway token        make a static token for a caller
//	gateway version      say what the binary was made from
//	gateway help         describe every setting
//
// # Guarantees
//
// The exit code is 0 if the command has done what was asked, also after SIGINT or SIGTERM; 2 if the
// command line or the configuration is wrong, and then all problems are listed; 1 if it fails later,
// which includes calls that had to be cut off because they outlived the grace period. A second signal
// ends it at once. SIGHUP ends nothing: a gateway that serves reads its files again. Nothing secret is
// logged, and the configuration that is in force is logged at the start.
//
// # Invariants
//
// This command is configuration and wiring, and brings packages together that do not know each other.
// Everything else belongs into one of these packages. serve makes what a gateway consists of from inside
// to outside. It stops readiness first, and then, after --drain-delay, gRPC, the sandbox and the admin
// address, in this order.
// main.go alone uses os.Exit, os.Args, the environment and signals.
//
// # Files
//
// In the order in which they are to be read: main, serve, readiness, organizations, grants, files, certificates, callers,
// rates, settings, memory, metrics, log, stray, sandbox, endpoints, explain, protos, quota, health, policy, version. main
// picks a command, serve makes a gateway and stops it, and from sandbox on each file is another command. Most tests here
// run the real binary as a process.
package main
