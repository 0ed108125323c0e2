package identity

// Identity is who calls, and with which priority. The zero value is an unknown caller whose priority is
// interactive.
type Identity struct {
	// Tenant is the name of the organization that owns the API token and the budgets that are used.
	Tenant string
	// Caller is the name that the quota is shared by, fairly between callers.
	Caller string
	// Batch is true if the priority is batch, which gives way to interactive.
	Batch bool
	// Weight is the caller's share of the quota by the policy, from 0.001 to 1000; 0: the policy does not say.
	Weight float64
}
