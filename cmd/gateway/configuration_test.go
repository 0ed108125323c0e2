package main

import (
	"testing"
)

// TestEnvironment_serviceLinks sets the variables that Kubernetes sets in every pod for Services named
// samsara-gateway and samsara-gateway-admin.
func TestEnvironment_serviceLinks(t *testing.T) {
	t.Parallel()
	p := startIn(t, []string{
		"SAMSARA_GATEWAY_SERVICE_HOST=10.0.0.7",
		"SAMSARA_GATEWAY_SERVICE_PORT=50051",
		"SAMSARA_GATEWAY_SERVICE_PORT_GRPC=50051",
		"SAMSARA_GATEWAY_PORT=tcp://10.0.0.7:50051",
		"SAMSARA_GATEWAY_PORT_50051_TCP=tcp://10.0.0.7:50051",
		"SAMSARA_GATEWAY_PORT_50051_TCP_PROTO=tcp",
		"SAMSARA_GATEWAY_PORT_50051_TCP_PORT=50051",
		"SAMSARA_GATEWAY_PORT_50051_TCP_ADDR=10.0.0.7",
		"SAMSARA_GATEWAY_ADMIN_SERVICE_HOST=10.0.0.8",
		"SAMSARA_GATEWAY_ADMIN_SERVICE_PORT=9464",
		"SAMSARA_GATEWAY_ADMIN_PORT=tcp://10.0.0.8:9464",
		"SAMSARA_GATEWAY_ADMIN_PORT_9464_TCP_ADDR=10.0.0.8",
	}, "--sandbox", "--log-format=json", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0")
	p.await(t, "serving")
	p.stop(t)
}
