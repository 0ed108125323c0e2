package config_test

import (
	"errors"
	"fmt"

	"samsara.internal/gateway/internal/config"
)

// A flag overrides the environment, which overrides the file and the default.
func ExampleLoad() {
	args := []string{"--sandbox", "--retry-max-attempts", "2"}
	environ := []string{"SAMSARA_GATEWAY_RETRY_MAX_ATTEMPTS=3", "SAMSARA_GATEWAY_LOG_FORMAT=json"}
	cfg, err := config.Load(args, environ, config.API{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(cfg.RetryMaxAttempts, cfg.LogFormat, cfg.Listen)
	// Output: 2 json 127.0.0.1:50051
}

// Whatever is wrong is reported at once.
func ExampleError() {
	args := []string{"--sandbox", "--retry-max-attempts=none", "--colour"}
	environ := []string{"SAMSARA_GATEWAY_LISTEN=:50051", "SAMSARA_GATEWAY_TOKEN=secret"}
	_, err := config.Load(args, environ, config.API{})
	var bad *config.Error
	if errors.As(err, &bad) {
		for _, problem := range bad.Problems {
			fmt.Println(problem)
		}
	}
	// Output:
	// --colour (from the command line): no such flag
	// environment SAMSARA_GATEWAY_TOKEN: no such setting
	// --retry-max-attempts "none" (from the command line): not a whole number
	// --listen ":50051" (from environment SAMSARA_GATEWAY_LISTEN): beyond loopback, which needs --tls-cert-file and --tls-key-file, or --insecure
}

// A Secret is never shown.
func ExampleSecret() {
	token := config.NewSecret("samsara_api_1")
	fmt.Printf("%v %#v %d\n", token, token, len(token.Reveal()))
	// Output: [redacted] [redacted] 13
}
