package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"samsara.internal/gateway/bench/internal/fleet"
	"samsara.internal/gateway/bench/internal/load"
	"samsara.internal/gateway/bench/internal/peer"
	"samsara.internal/gateway/bench/internal/report"
)

// measureGoodput floods one server after the other, each started anew.
func (h *harness) measureGoodput(ctx context.Context, round int) (err error) {
	s, err := h.open(ctx)
	defer func() { err = errors.Join(err, s.close()) }()
	if err != nil {
		return err
	}
	for _, name := range h.inTurn(round, report.Gateway, report.Before, peer.FloorC) {
		p, err := s.any(ctx, name, "--quota=false")
		if err != nil {
			return err
		}
		for _, concurrency := range h.results.Floods {
			flooded, err := s.flood(ctx, name, p, concurrency)
			if err != nil {
				return fmt.Errorf("%s, %d calls at a time: %w", name, concurrency, err)
			}
			h.log.InfoContext(ctx, "flooded", "server", name, "concurrency", concurrency,
				"goodput", flooded.Goodput, "share", flooded.Share, "p50", flooded.P50, "p99", flooded.P99)
			flood := report.Flood{Server: name, Concurrency: concurrency}
			h.results.Flooded[flood] = append(h.results.Flooded[flood], flooded)
		}
		if err := p.stop(); err != nil {
			return err
		}
	}
	return nil
}

func (s *servers) flood(ctx context.Context, name string, p *process, concurrency int) (flooded report.Flooded, err error) {
	m, err := s.stats(ctx, name, p)
	if err != nil {
		return report.Flooded{}, err
	}
	all, err := requests(m, declared(report.Sizes()[0]), concurrency)
	if err != nil {
		return report.Flooded{}, err
	}
	client, err := load.NewGRPC(p.address, m.Name, all)
	if err != nil {
		return report.Flooded{}, err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	collections := func() (float64, error) { return 0, nil }
	if p.admin != "" {
		collections = func() (float64, error) { return p.collections(ctx) }
	}
	before, err := collections()
	if err != nil {
		return report.Flooded{}, err
	}
	flooded.Flood, err = load.Overload(ctx, client, load.FloodPlan{
		PID: p.pid(), Concurrency: concurrency, Deadline: report.Deadline, Time: s.floodTime,
	})
	if err != nil {
		return report.Flooded{}, err
	}
	after, err := collections()
	flooded.Collections = after - before
	return flooded, err
}

const (
	// openingTime is how long opening the first stream may take, and perStream how much longer each
	// further stream may take.
	openingTime = time.Second
	perStream   = time.Millisecond
	// followPatience is how long all messages may take.
	followPatience = time.Minute
)

// measureFollowers follows a feed of one server after the other, each started anew. The stream server sends
// the message that the first gateway of the run sent.
func (h *harness) measureFollowers(ctx context.Context, round int) (err error) {
	s, err := h.open(ctx)
	defer func() { err = errors.Join(err, s.close()) }()
	if err != nil {
		return err
	}
	for _, followers := range h.results.Followers {
		for _, name := range h.inTurn(round, report.Gateway, report.Before, peer.Stream) {
			followed, err := s.follow(ctx, name, followers)
			if err != nil {
				return fmt.Errorf("%s, %d followers: %w", name, followers, err)
			}
			h.log.InfoContext(ctx, "followed", "server", name, "followers", followers, "cpu", followed.CPU, "bytes", followed.Bytes)
			following := report.Following{Server: name, Followers: followers}
			h.results.Followed[following] = append(h.results.Followed[following], followed)
		}
	}
	return nil
}

func (s *servers) follow(ctx context.Context, name string, followers int) (followed load.Followed, err error) {
	var p *process
	if s.builds[name] != nil {
		p, err = s.gateway(ctx, name)
	} else {
		file := filepath.Join(s.folder, "message")
		if err := os.WriteFile(file, s.message, 0o600); err != nil {
			return load.Followed{}, err
		}
		p, err = s.peer(ctx, name, "--message="+file)
	}
	if err != nil {
		return load.Followed{}, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	method, request, err := s.feed(ctx, name, p)
	if err != nil {
		return load.Followed{}, err
	}
	message, err := firstMessage(ctx, p.address, method, request)
	if err != nil {
		return load.Followed{}, err
	}
	if s.message == nil {
		s.message, s.results.MessageBytes = message, len(message)
	}
	begin := fleet.TickAt(time.Now().Add(openingTime+time.Duration(followers)*perStream)) + 1
	one, err := request(begin - 1)
	if err != nil {
		return load.Followed{}, err
	}
	// All requests are the same: streams that follow the same feed may share its reading.
	client, err := load.NewGRPC(p.address, method, slices.Repeat([][]byte{one}, followers))
	if err != nil {
		return load.Followed{}, err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	return client.Follow(ctx, load.FollowPlan{
		PID: p.pid(), Begin: begin.Time(), Messages: s.ticks, Bytes: len(message), Patience: followPatience, Resident: p.residentBytes,
	})
}

// feed returns the method that follows a feed of a server, and a function that makes its requests.
func (s *servers) feed(ctx context.Context, name string, p *process) (method string, request func(after fleet.Tick) ([]byte, error), err error) {
	build := s.builds[name]
	if build == nil {
		return peer.StreamMethod, func(after fleet.Tick) ([]byte, error) { return proto.Marshal(wrapperspb.String(after.Cursor())) }, nil
	}
	if method, err = build.Follow(fleet.Feed); err != nil {
		return "", nil, err
	}
	m, err := reflected(ctx, p, method)
	return method, func(after fleet.Tick) ([]byte, error) { return m.Request(fleet.FeedRequest(after)) }, err
}

// firstMessage returns a message that a server sends.
func firstMessage(ctx context.Context, address, method string, request func(after fleet.Tick) ([]byte, error)) (message []byte, err error) {
	one, err := request(fleet.TickAt(time.Now()) - 1)
	if err != nil {
		return nil, err
	}
	client, err := load.NewGRPC(address, method, [][]byte{one})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	return client.First(ctx, 0)
}

// checkContainers leaves out the section Containers if control groups cannot be made.
func (h *harness) checkContainers() {
	group, err := newCgroup(report.AllContainers()[0].LimitBytes)
	if err == nil {
		err = group.remove()
	}
	if err != nil {
		h.results.LeftOut = append(h.results.LeftOut, report.Fact{Name: string(report.Containers), Value: "no control group with a limit of memory: " + err.Error()})
		h.results.Sections = slices.DeleteFunc(h.results.Sections, func(s report.Section) bool { return s == report.Containers })
	}
}

// measureContainers asks each build, with little memory, for many large answers at once.
func (h *harness) measureContainers(ctx context.Context, round int) (err error) {
	s, err := h.open(ctx)
	defer func() { err = errors.Join(err, s.close()) }()
	if err != nil {
		return err
	}
	for _, container := range report.AllContainers() {
		for _, name := range h.inTurn(round, h.results.Builds()...) {
			contained, err := s.contain(ctx, name, container)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", name, container, err)
			}
			h.log.InfoContext(ctx, "contained", "server", name, "container", container.String(),
				"ok", contained.OK, "failed", contained.Failed, "kills", contained.Kills, "took", contained.Took)
			confined := report.Confined{Server: name, Container: container}
			h.results.Contained[confined] = append(h.results.Contained[confined], contained)
		}
	}
	return nil
}

func (s *servers) contain(ctx context.Context, name string, container report.Container) (contained report.Contained, err error) {
	group, err := newCgroup(container.LimitBytes)
	if err != nil {
		return report.Contained{}, err
	}
	defer func() { err = errors.Join(err, group.remove()) }()
	path, args := group.command(s.builds[name].Path, s.arguments(name)...)
	p, err := s.begin(ctx, path, args...)
	if err != nil {
		return report.Contained{}, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	m, err := s.stats(ctx, name, p)
	if err != nil {
		return report.Contained{}, err
	}
	all, err := requests(m, container.Body, container.Answers)
	if err != nil {
		return report.Contained{}, err
	}
	client, err := load.NewGRPC(p.address, m.Name, all)
	if err != nil {
		return report.Contained{}, err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	contained = ask(ctx, client, container.Answers)
	if contained.PeakBytes, err = group.peakBytes(); err != nil {
		return report.Contained{}, err
	}
	contained.Kills, err = group.killed()
	return contained, err
}

// ask calls once for each worker, all at once.
func ask(ctx context.Context, client load.Client, workers int) report.Contained {
	begin := time.Now()
	ctx, cancel := context.WithDeadline(ctx, begin.Add(report.ContainerDeadline))
	defer cancel()
	contained := report.Contained{Failed: map[string]int{}}
	var mu sync.Mutex
	var calls sync.WaitGroup
	for worker := range workers {
		calls.Go(func() {
			_, err := client.Call(ctx, worker)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				contained.OK++
			} else {
				contained.Failed[status.Code(err).String()]++
			}
		})
	}
	calls.Wait()
	contained.Took = time.Since(begin)
	return contained
}
