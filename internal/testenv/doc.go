// Package testenv gives tests what they need of the machine, or skips them with the reason. The short
// tests (go test -short, make check) need none of it. make says in the environment what there is:
//
//   - SAMSARA_TEST_BIN is the folder of the programs that tests start. Nothing is missing then, so that
//     a test that misses a program fails.
//   - SAMSARA_TEST_INCIDENTS=1 runs the tests that stage incidents.
//   - SAMSARA_TEST_TIME=1 runs the tests that nothing else may run beside.
//   - SAMSARA_TEST_ROOT=1 runs the tests that may do anything to the machine.
//   - SAMSARA_TEST_SDK=1 runs the tests with Samsara's SDKs, which are in the folder sdk of the programs.
//   - SAMSARA_TEST_PEER is an older build of the gateway, for the test of an upgrade.
//
// It is for tests alone.
package testenv
