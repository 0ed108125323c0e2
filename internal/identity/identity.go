package identity

// Identity is who calls, and with what claim on what is shared. The zero value is somebody unknown,
// who is interactive.
type Identity struct {
	// Tenant is whose API token and budgets are used; empty while there is but one.
	Tenant string
	// Caller shares the quota fairly with other callers.
	Caller string
	// Batch gives way to what is not.
	Batch bool
}
