package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// cgroup is a control group that limits memory.
type cgroup struct {
	folder string
	// peak and kills are the files with the most memory used, and with how often the kernel killed a
	// process because there was no more.
	peak, kills string
}

// cgroupRoot is the mount point of control groups.
const cgroupRoot = "/sys/fs/cgroup"

// newCgroup makes a control group below that of this process, of version 2 or 1, or returns why it cannot.
func newCgroup(limitBytes int64) (*cgroup, error) {
	membership, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	err = errors.New("the kernel offers no memory controller")
	for line := range strings.Lines(string(membership)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		root, build := "", buildV1
		switch {
		case parts[1] == "memory":
			root = filepath.Join(cgroupRoot, "memory")
		case parts[0] == "0":
			root, build = cgroupRoot, buildV2
		default:
			continue
		}
		// A container may see the name that its group has outside, and the group itself as root.
		for _, parent := range []string{filepath.Join(root, parts[2]), root} {
			c, failed := build(filepath.Join(parent, fmt.Sprintf("gateway-bench-%d", os.Getpid())), limitBytes)
			if failed == nil {
				return c, nil
			}
			err = errors.Join(err, failed)
		}
	}
	return nil, err
}

func buildV1(folder string, limitBytes int64) (*cgroup, error) {
	c := &cgroup{folder: folder, peak: "memory.max_usage_in_bytes", kills: "memory.oom_control"}
	return c, c.build(limitBytes, "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", limitBytes)
}

func buildV2(folder string, limitBytes int64) (*cgroup, error) {
	controllers := filepath.Join(filepath.Dir(folder), "cgroup.subtree_control")
	if enabled, err := os.ReadFile(controllers); err != nil { //nolint:gosec // a file of the kernel's
		return nil, err
	} else if !bytes.Contains(enabled, []byte("memory")) {
		if err := os.WriteFile(controllers, []byte("+memory"), 0); err != nil {
			return nil, err
		}
	}
	c := &cgroup{folder: folder, peak: "memory.peak", kills: "memory.events"}
	return c, c.build(limitBytes, "memory.max", "memory.swap.max", 0)
}

// build makes the folder and sets the limits. A kernel without swap has no limit for swap.
func (c *cgroup) build(limitBytes int64, memory, swap string, swapLimit int64) error {
	if err := os.Mkdir(c.folder, 0o755); err != nil { //nolint:gosec // as the kernel's own
		return err
	}
	err := c.write(memory, limitBytes)
	if swapErr := c.write(swap, swapLimit); !errors.Is(swapErr, fs.ErrNotExist) {
		err = errors.Join(err, swapErr)
	}
	if err == nil {
		_, err = c.peakBytes()
	}
	if err == nil {
		_, err = c.killed()
	}
	if err != nil {
		return errors.Join(err, c.remove())
	}
	return nil
}

func (c *cgroup) write(name string, value int64) error {
	f, err := os.OpenFile(filepath.Join(c.folder, name), os.O_WRONLY, 0) //nolint:gosec // a file of the kernel's
	if err != nil {
		return err
	}
	_, err = f.WriteString(strconv.FormatInt(value, 10))
	return errors.Join(err, f.Close())
}

// command returns the command line that runs another one in the group.
func (c *cgroup) command(path string, args ...string) (string, []string) {
	const script = `echo $$ >"$0" && exec "$@"`
	return "/bin/sh", append([]string{"-c", script, filepath.Join(c.folder, "cgroup.procs"), path}, args...)
}

// peakBytes returns the most memory that the group has used.
func (c *cgroup) peakBytes() (float64, error) {
	text, err := os.ReadFile(filepath.Join(c.folder, c.peak))
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(strings.TrimSpace(string(text)), 64)
}

// killed returns how many processes of the group the kernel has killed.
func (c *cgroup) killed() (int, error) {
	text, err := os.ReadFile(filepath.Join(c.folder, c.kills))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "oom_kill "); ok {
			return strconv.Atoi(strings.TrimSpace(rest))
		}
	}
	return 0, fmt.Errorf("%s/%s: has no oom_kill", c.folder, c.kills)
}

// remove removes the group once its processes are gone. The kernel notices that a moment after they have
// ended.
func (c *cgroup) remove() error {
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for end := time.Now().Add(stopTimeout); ; <-retry.C {
		if err := os.Remove(c.folder); err == nil || time.Now().After(end) {
			return err
		}
	}
}
