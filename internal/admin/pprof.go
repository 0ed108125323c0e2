package admin

import (
	"fmt"
	"net/http"
	"net/http/pprof"
	"strconv"
	"strings"
)

// maxProfileSeconds bounds how long a profile is taken.
const maxProfileSeconds = 60

// profilesPath is what the paths of profiles begin with.
const profilesPath = "/debug/pprof/"

// serveProfile serves what net/http/pprof does, except the command line, which may have credentials, and symbols, which
// Go's programs need from nobody.
func serveProfile(w http.ResponseWriter, r *http.Request) {
	if text := r.FormValue("seconds"); text != "" {
		if seconds, err := strconv.Atoi(text); err != nil || seconds < 1 || seconds > maxProfileSeconds {
			answer(w, http.StatusBadRequest, fmt.Sprintf("seconds: must be 1 to %d\n", maxProfileSeconds))
			return
		}
	}
	switch strings.TrimPrefix(r.URL.Path, profilesPath) {
	case "cmdline", "symbol":
		http.NotFound(w, r)
	case "profile":
		pprof.Profile(w, r)
	case "trace":
		pprof.Trace(w, r)
	default:
		pprof.Index(w, r)
	}
}
