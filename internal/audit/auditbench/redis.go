package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/usher-im/usher/internal/audit/redisstore"
	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/redisconn"
)

// benchRedis fills an empty Redis with refused decisions of two hours, and asks.
func benchRedis(address string, rows, runs int) error {
	ctx := context.Background()
	client, err := redisconn.Open(&config.Redis{URL: "redis://" + address + "/0", Prefix: "usher:"})
	if err != nil {
		return err
	}
	defer client.Close()
	if n, err := client.DBSize(ctx).Result(); err != nil || n > 0 {
		return fmt.Errorf("%s is to be empty, it has %d keys: %w", address, n, err)
	}
	before, err := info(ctx, client)
	if err != nil {
		return err
	}
	store := redisstore.Open(client, redisstore.Options{Writer: "bench"})
	defer store.Close()
	w := newWorld(rows)
	w.refused, w.start, w.step = true, time.Now().Truncate(time.Hour).Add(-time.Hour), 2*time.Hour/time.Duration(rows)
	f, err := fill(ctx, store, w)
	if err != nil {
		return err
	}
	after, err := info(ctx, client)
	if err != nil {
		return err
	}
	f.bytes = int64(after["used_memory"] - before["used_memory"])
	fmt.Println(f)
	fmt.Printf("Redis itself: %.2f µs of CPU an event\n",
		1e6*(after["used_cpu_user"]+after["used_cpu_sys"]-before["used_cpu_user"]-before["used_cpu_sys"])/float64(rows))
	missed, err := ask(store, w, runs)
	if err == nil && missed {
		err = fmt.Errorf("a figure was missed")
	}
	return err
}

// info reads the numbers that Redis tells of itself.
func info(ctx context.Context, client *redisconn.Client) (map[string]float64, error) {
	text, err := client.Info(ctx, "memory", "cpu").Result()
	if err != nil {
		return nil, err
	}
	numbers := map[string]float64{}
	for _, line := range strings.Split(text, "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		if n, err := strconv.ParseFloat(value, 64); err == nil {
			numbers[name] = n
		}
	}
	return numbers, nil
}
