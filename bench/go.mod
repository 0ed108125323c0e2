module samsara.internal/gateway/bench

go 1.26.0

replace samsara.internal/gateway => ../

tool golang.org/x/perf/cmd/benchstat

require (
	golang.org/x/sync v0.24.0
	google.golang.org/genproto/googleapis/api v0.0.0-20260817212433-ac3dfec99bb1
	google.golang.org/protobuf v1.36.12
	samsara.internal/gateway v0.0.0
)

require connectrpc.com/connect v1.16.2 // indirect

require (
	connectrpc.com/vanguard v0.3.0
	github.com/aclements/go-moremath v0.0.0-20210112150236-f10218a38794 // indirect
	golang.org/x/net v0.60.0 // indirect
	golang.org/x/perf v0.0.0-20260908200009-22c9c6c9d4da // indirect
	golang.org/x/sys v0.48.0
	golang.org/x/text v0.42.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20261019180522-ce908d29299b // indirect
	google.golang.org/grpc v1.85.0
)
