// Package config reads the gateway's settings from flags, the environment and a file.
//
// Every setting has one name: --retry-max-attempts on the command line is
// SAMSARA_GATEWAY_RETRY_MAX_ATTEMPTS in the environment and retry-max-attempts in the file. A flag
// overrides the environment, the environment the file, and the file the default. Values are read the
// same way wherever they come from. Load reads the configuration of a gateway, LoadHealth where it listens, LoadExplain and
// LoadSandbox those of the commands explain and sandbox.
//
// # Guarantees
//
//   - Whatever is wrong is reported at once, in one *Error: unknown flags, variables and keys, values
//     that do not parse in any source (even if another source overrides them), settings that do not
//     fit together, files without what they are for, and patterns that match nothing. Each problem
//     names its setting and the rule.
//   - The API token is neither a flag, which every user of the machine can read, nor a key of the
//     file: it comes from the variable SAMSARA_API_TOKEN or from a file of its own. No error and no
//     log value of this package holds it. Values in errors are cut to 100 bytes, and shown without
//     what may be credentials in a URL.
//   - A Config that Load returns has passed every check. The package does not read its sources again.
//
// # Invariants
//
// A setting is a field of Config and one entry in the list of settings, from which its flag, variable,
// key, help, default and documentation follow. A test compares docs/configuration.md with the list. What
// a setting means for another package is checked by a Check, which that package's caller passes in,
// so that this package opens no file but its own.
//
// # Files
//
// In the order in which they are to be read: config, settings, load, check, flags, values, api,
// explain, health, sandbox, cache, quota, servicelink.
package config
