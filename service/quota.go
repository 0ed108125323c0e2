package service

import (
	"errors"
	"fmt"
	"strings"

	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/quota"
)

// budgets are what the calls of each operation take from. The zero value has none.
type budgets struct {
	endpoints []*endpoint.Endpoint
	of        map[*endpoint.Endpoint]*quota.Operation
	// other is for what passes through to no known operation.
	other *quota.Operation
}

// newBudgets returns the budgets of a limiter, none where it is nil. The error joins every
// operation with a limit that cannot be kept.
func newBudgets(limiter *quota.Limiter, endpoints []*endpoint.Endpoint) (budgets, error) {
	if limiter == nil {
		return budgets{}, nil
	}
	b := budgets{endpoints: endpoints, of: make(map[*endpoint.Endpoint]*quota.Operation, len(endpoints))}
	var errs []error
	for _, e := range endpoints {
		stated := quota.Limit{}
		if limit := e.Operation.GetRateLimit(); limit != nil {
			stated = quota.Limit{Requests: int(limit.GetRequests()), Window: limit.GetWindow().AsDuration()}
		}
		operation, err := limiter.Operation(strings.TrimPrefix(e.FullMethod, "/"), stated)
		if err != nil {
			errs = append(errs, fmt.Errorf("method %s: %w", e.FullMethod, err))
		}
		b.of[e] = operation
	}
	other, err := limiter.Operation(passthroughTemplate, quota.Limit{})
	b.other = other
	return b, errors.Join(append(errs, err)...)
}

// at returns the budget of the operation that an HTTP request is for.
func (b budgets) at(method, path string) *quota.Operation {
	if e := endpoint.Find(b.endpoints, method, path); e != nil {
		return b.of[e]
	}
	return b.other
}
