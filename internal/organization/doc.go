// Package organization reads the file that says for which organizations a gateway works.
//
// The file is YAML:
//
//	organizations:
//	  - name: north                      # what callers select by the metadata samsara-org
//	    token-file: /run/secrets/north   # as --api-token-file
//	    region: eu                       # us, eu or ca; or base-url, as --upstream-url
//	    token-limit: 100/s               # as --quota-token-limit
//	    organization-limit: 200/s        # as --quota-organization-limit
//	    default: true                    # for calls that select none; one at most
//
// name and token-file must be there. What else is left out follows Defaults.
//
// # Guarantees
//
//   - Parse refuses whatever cannot have been meant: an unknown member, a name that is there twice, two
//     defaults, a member of the wrong type. It lists every problem, with its line.
//   - The file has no secrets: tokens are in files of their own, which Parse does not read.
//   - A File does not change, and is safe for concurrent use.
package organization
