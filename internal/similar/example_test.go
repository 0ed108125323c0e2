package similar_test

import (
	"fmt"
	"slices"

	"samsara.internal/gateway/internal/similar"
)

func ExampleNames() {
	methods := []string{"GetVehicle", "ListDrivers", "ListVehicles"}
	fmt.Println(similar.Names("list_vehicels", slices.Values(methods), 3))
	fmt.Println(similar.Names("frobnicate", slices.Values(methods), 3))
	// Output:
	// [ListVehicles]
	// []
}
