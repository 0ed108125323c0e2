package words

import "testing"

func TestSnake_acronyms(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"routeStopETA":            "route_stop_eta",
		"DEFRemaining":            "def_remaining",
		"EquipmentID":             "equipment_id",
		"OEMName":                 "oem_name",
		"PIN":                     "pin",
		"addressLine1":            "address_line1",
		"j1939D1StatusPoint":      "j1939_d1_status_point",
		"engineOilPressureKPa":    "engine_oil_pressure_k_pa",
		"duty_status":             "duty_status",
		"Driver-Trailer (EU) X/y": "driver_trailer_eu_x_y",
		"größe":                   "gr_e",
		"":                        "",
	} {
		if got := Snake(name); got != want {
			t.Errorf("Snake(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestJSONName_likeProtoc(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"start_ms": "startMs", "pin": "pin", "address_line1": "addressLine1", "a_1_b": "a1B"} {
		if got := JSONName(name); got != want {
			t.Errorf("JSONName(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestSingular_endings(t *testing.T) {
	t.Parallel()
	for plural, want := range map[string]string{
		"vertices": "vertex", "services": "service", "categories": "category", "addresses": "address", "boxes": "box",
		"branches": "branch", "series": "series", "statuses": "status", "address": "address", "status": "status", "data": "data", "s": "s",
	} {
		if got := Singular(plural); got != want {
			t.Errorf("Singular(%q) = %q, want %q", plural, got, want)
		}
	}
}

func TestUnique_taken(t *testing.T) {
	t.Parallel()
	taken := func(name string) bool { return name == "size" || name == "size_v2" }
	if got := Unique("size", "_v", taken); got != "size_v3" {
		t.Errorf("Unique = %q, want size_v3", got)
	}
}
