package main

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	vehiclesv1 "samsara.internal/gateway/gen/vehicles/v1"
	"samsara.internal/gateway/internal/testenv"
)

// container is a cgroup with a memory limit, of version 2 or 1 as this machine has.
type container struct {
	dir string
	v2  bool
}

// newContainer makes a cgroup for at most memory bytes, without swap. If the machine lets not even root
// make one, as in some sandboxes, the test is skipped, which make test-root shows.
func newContainer(t *testing.T, memory int) *container {
	t.Helper()
	root, v2 := memoryHierarchy(t)
	dir := filepath.Join(root, fmt.Sprintf("samsara-test-%d-%s", os.Getpid(), strings.ToLower(rand.Text())))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Skipf("no cgroup can be made: %v", err)
	}
	c := &container{dir, v2}
	t.Cleanup(func() {
		// The kernel takes a while to forget a process that has ended.
		eventually(t, "the cgroup can be removed", func() bool { return os.Remove(dir) == nil })
	})
	if v2 {
		c.write(t, "memory.max", memory)
		c.writeIfThere(t, "memory.swap.max", 0)
	} else {
		c.write(t, "memory.limit_in_bytes", memory)
		c.writeIfThere(t, "memory.memsw.limit_in_bytes", memory)
	}
	return c
}

// memoryHierarchy returns the folder in which a cgroup with a memory limit can be made.
func memoryHierarchy(t *testing.T) (root string, v2 bool) {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line) // device, folder, type, options
		switch fields[2] {
		case "cgroup":
			if strings.Contains(","+fields[3]+",", ",memory,") {
				return fields[1], false
			}
		case "cgroup2":
			controllers, err := os.ReadFile(filepath.Join(fields[1], "cgroup.controllers"))
			if err == nil && strings.Contains(string(controllers), "memory") {
				if err := os.WriteFile(filepath.Join(fields[1], "cgroup.subtree_control"), []byte("+memory"), 0); err != nil {
					t.Skipf("no cgroup can be given a memory limit: %v", err)
				}
				root, v2 = fields[1], true
			}
		}
	}
	if root == "" {
		t.Skipf("no cgroups with a memory limit among the mounts:\n%s", mounts)
	}
	return root, v2
}

func (c *container) write(t *testing.T, name string, value int) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(c.dir, name), []byte(strconv.Itoa(value)), 0); err != nil {
		t.Fatal(err)
	}
}

// writeIfThere is write for a file that is missing on a kernel without swap.
func (c *container) writeIfThere(t *testing.T, name string, value int) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(c.dir, name)); err == nil {
		c.write(t, name, value)
	}
}

// kills returns how many processes the kernel has killed because of the limit.
func (c *container) kills(t *testing.T) int {
	t.Helper()
	name := "memory.oom_control"
	if c.v2 {
		name = "memory.events"
	}
	text, err := os.ReadFile(filepath.Join(c.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var n int
		if _, err := fmt.Sscanf(line, "oom_kill %d", &n); err == nil {
			return n
		}
	}
	t.Fatalf("no oom_kill in %s:\n%s", name, text)
	return 0
}

// peak returns the most bytes that the cgroup has had, pages of files included.
func (c *container) peak(t *testing.T) int {
	t.Helper()
	name := "memory.max_usage_in_bytes"
	if c.v2 {
		name = "memory.peak"
	}
	text, err := os.ReadFile(filepath.Join(c.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// start runs a gateway in the cgroup. It is in the cgroup from its first instruction on, because it reads
// its limit at the start.
func (c *container) start(t *testing.T, flags []string) (*process, logLine) {
	t.Helper()
	args := append([]string{"sh", "-c", `echo $$ >"$0" && exec "$@"`, filepath.Join(c.dir, "cgroup.procs"), testenv.Tool(t, "gateway")}, flags...)
	p := startCommand(t, nil, args...)
	return p, p.await(t, "serving")
}

// survived checks that the kernel has killed nothing, and that the gateway still answers.
func (c *container) survived(t *testing.T, at logLine) {
	t.Helper()
	if n := c.kills(t); n != 0 {
		t.Fatalf("the kernel killed %d processes for the memory limit", n)
	}
	if code, body := get(t, "http://"+at.Admin+"/readyz", ""); code != http.StatusOK {
		t.Errorf("/readyz: got %d %q", code, body)
	}
	t.Logf("%d MiB at most", c.peak(t)>>20)
}

// allOK checks that every call of callAtOnce succeeded.
func allOK(t *testing.T, outcomes map[string]int, calls int) {
	t.Helper()
	if outcomes["OK"] != calls {
		t.Errorf("got %v, want %d OK", outcomes, calls)
	}
}

func TestContainer_gatewayStartsAtItsDefaults(t *testing.T) {
	t.Parallel()
	testenv.Root(t)
	for _, mib := range []int{96, 128, 192, 256, 512} {
		t.Run(fmt.Sprintf("%d MiB", mib), func(t *testing.T) {
			t.Parallel()
			c := newContainer(t, mib<<20)
			p, at := c.start(t, startPages(t))
			calls := min(500, 3*mib) // fewer than may run at one time
			allOK(t, callAtOnce(t, at.GRPC, 5, calls, 2<<10, patience), calls)
			c.survived(t, at)
			p.stop(t)
		})
	}
}

func TestContainer_largeAnswersFit(t *testing.T) {
	t.Parallel()
	testenv.Root(t)
	for _, test := range []struct{ mib, calls, size int }{{96, 50, 1 << 20}, {256, 40, 10 << 20}} {
		for _, connections := range []int{1, test.calls} {
			t.Run(fmt.Sprintf("%d of %d MiB in %d MiB on %d connections", test.calls, test.size>>20, test.mib, connections), func(t *testing.T) {
				t.Parallel()
				c := newContainer(t, test.mib<<20)
				_, at := c.start(t, startPages(t))
				allOK(t, callAtOnce(t, at.GRPC, connections, test.calls, test.size, time.Minute), test.calls)
				c.survived(t, at)
			})
		}
	}
}

// TestContainer_manyCallsFit makes many calls. Each must succeed or be refused with RESOURCE_EXHAUSTED: the
// memory limit decides how many may run at one time.
func TestContainer_manyCallsFit(t *testing.T) {
	t.Parallel()
	testenv.Root(t)
	const calls = 5000
	for _, mib := range []int{96, 256} {
		t.Run(fmt.Sprintf("%d MiB", mib), func(t *testing.T) {
			t.Parallel()
			c := newContainer(t, mib<<20)
			_, at := c.start(t, startPages(t))
			outcomes := callAtOnce(t, at.GRPC, 10, calls, 2<<10, time.Minute)
			for outcome, n := range outcomes {
				if outcome != "OK" && !strings.Contains(outcome, "ResourceExhausted") {
					t.Errorf("%d calls: %s", n, outcome)
				}
			}
			t.Logf("%d of %d served", outcomes["OK"], calls)
			if outcomes["OK"] < calls/slack {
				t.Errorf("%d of %d calls were served", outcomes["OK"], calls)
			}
			c.survived(t, at)
			allOK(t, callAtOnce(t, at.GRPC, 1, 10, 2<<10, patience), 10)
		})
	}
}

// TestContainer_hostileClientsDoNotKill runs hostile clients against gateways at their defaults.
func TestContainer_hostileClientsDoNotKill(t *testing.T) {
	t.Parallel()
	testenv.Root(t)
	list := &vehiclesv1.ListVehiclesRequest{After: proto.String(cursorOf(1<<20, 0))}
	long := &vehiclesv1.ListVehiclesRequest{After: proto.String(strings.Repeat("x", 4<<20-64))}
	for _, mib := range []int{96, 256} {
		for _, test := range []struct {
			name    string
			calls   rawCalls
			clients int
		}{
			{"unread", rawCalls{Request: encoded(t, list, false), Calls: 50, Header: []string{"samsara-cache", "no-store"}}, 8},
			{"half-sent", rawCalls{Request: encoded(t, long, false), Withheld: 1, Calls: 20}, 8},
			// grpc takes 64 KiB for each of these before there is room for the request.
			{"half-sent on 1,000 streams", rawCalls{Request: encoded(t, long, false), Withheld: 1, Calls: 1000}, 1},
		} {
			t.Run(fmt.Sprintf("%s in %d MiB", test.name, mib), func(t *testing.T) {
				t.Parallel()
				c := newContainer(t, mib<<20)
				_, at := c.start(t, startPages(t))
				test.calls.Address, test.calls.Method = at.GRPC, vehiclesv1.VehiclesService_ListVehicles_FullMethodName
				other := startBystander(t, at.GRPC)
				crowd := startCrowd(t, test.calls, test.clients)
				eventually(t, "the clients cannot send more", crowd.quiet())
				other.served(t, 10, 2<<10, time.Second)
				c.survived(t, at)
			})
		}
	}
}
