package glob_test

import (
	"fmt"

	"samsara.internal/gateway/internal/glob"
)

func ExamplePattern_Match() {
	lists, err := glob.Parse("*/List*")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(lists.Match("/samsara_gateway.vehicles.v1.VehiclesService/ListVehicles"))
	fmt.Println(lists.Match("/samsara_gateway.vehicles.v1.VehiclesService/GetVehicle"))

	_, err = glob.Parse("*/[GL")
	fmt.Println(err)
	// Output:
	// true
	// false
	// pattern has an open bracket or a backslash at its end
}
