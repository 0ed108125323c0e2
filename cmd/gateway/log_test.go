package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"samsara.internal/gateway/internal/config"
)

// limitedLog is a logger and its output.
type limitedLog struct {
	*slog.Logger
	t *testing.T

	mu   sync.Mutex
	text bytes.Buffer
}

func newLimitedLog(t *testing.T, level slog.Level) *limitedLog {
	t.Helper()
	l := &limitedLog{t: t}
	log, flush := newLogger(level, config.LogJSON, l)
	l.Logger = log
	t.Cleanup(func() { flush(t.Context()) })
	return l
}

func (l *limitedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// take returns how many lines were written since the last take, by "LEVEL text suppressed".
func (l *limitedLog) take() map[string]int {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	found := make(map[string]int)
	for line := range strings.Lines(l.text.String()) {
		var got struct {
			Level, Msg, Message string
			Suppressed          int
		}
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			l.t.Fatal(err)
		}
		found[strings.TrimSpace(fmt.Sprintf("%s %s %s %d", got.Level, got.Msg, got.Message, got.Suppressed))]++
	}
	l.text.Reset()
	return found
}

func (l *limitedLog) want(step string, want map[string]int) {
	l.t.Helper()
	if diff := cmp.Diff(want, l.take()); diff != "" {
		l.t.Errorf("%s (-want +got):\n%s", step, diff)
	}
}

func TestLog_repeatedLines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := newLimitedLog(t, slog.LevelInfo)
		for n := range 1000 {
			log.With("n", n).Warn("lost")
		}
		log.Error("lost")
		log.Info("found")
		log.want("of one message and level there are 10 at once", map[string]int{"WARN lost  0": 10, "ERROR lost  0": 1, "INFO found  0": 1})
		<-time.After(100 * time.Millisecond)
		log.WithGroup("g").Warn("lost")
		log.Warn("lost")
		log.want("the next that passes says how many were left out", map[string]int{"WARN lost  0": 1})
		<-time.After(time.Second)
		synctest.Wait()
		log.want("those that none comes after are told of all the same", map[string]int{"WARN repeated lines left out lost 1": 1})
		<-time.After(time.Hour)
		log.Warn("lost")
		log.want("later nothing is left out", map[string]int{"WARN lost  0": 1})
	})
}

func TestLog_repeatedForAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := newLimitedLog(t, slog.LevelInfo)
		for range 5000 { // 1,000 a second for 5 s
			log.Warn("lost")
			<-time.After(time.Millisecond)
		}
		<-time.After(2 * time.Second)
		synctest.Wait()
		written, suppressed := 0, 0
		for line, count := range log.take() {
			var n int
			if _, err := fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &n); err != nil {
				t.Fatal(err)
			}
			suppressed += n * count
			if strings.Contains(line, "WARN lost") {
				written += count
			}
		}
		if written < 55 || written > 61 || written+suppressed != 5000 {
			t.Errorf("%d lines and %d left out, want about 60 and 5000 together", written, suppressed)
		}
	})
}

func TestLog_debugNotLimited(t *testing.T) {
	t.Parallel()
	log := newLimitedLog(t, slog.LevelDebug)
	for range 100 {
		log.Debug("request")
	}
	log.want("all lines", map[string]int{"DEBUG request  0": 100})
}

func TestLog_atTheEnd(t *testing.T) {
	t.Parallel()
	var out limitedLog
	log, flush := newLogger(slog.LevelInfo, config.LogJSON, &out)
	for range 15 {
		log.Info("lost")
	}
	flush(t.Context())
	out.t = t
	out.want("what was left out is told of", map[string]int{"INFO lost  0": 10, "INFO repeated lines left out lost 5": 1})
}

// TestLog_manyMessages logs texts that are not constant. In the end they share one limit.
func TestLog_manyMessages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := newLimitedLog(t, slog.LevelInfo)
		for n := range 10_000 {
			log.Info(fmt.Sprint("message ", n)) //nolint:sloglint // The test needs messages that are not constant.
		}
		<-time.After(time.Second)
		synctest.Wait()
		got := log.take()
		if len(got) != maxLineKinds+maxLinesPerSecond+1 || got[fmt.Sprintf("WARN repeated lines left out other messages %d", 10_000-maxLineKinds-maxLinesPerSecond)] != 1 {
			t.Errorf("got %d lines, want %d and the number of the rest", len(got), maxLineKinds+maxLinesPerSecond+1)
		}
	})
}
