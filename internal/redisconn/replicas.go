package redisconn

import (
	"context"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Replicas is how many replicas stand behind the primary of key, as far as whoever would promote them knows, those that
// are down included. Nobody knows that of a single server: 0, and INFO tells who is connected.
func (c *Client) Replicas(ctx context.Context, key string) (int, error) {
	if c.sentinel != nil {
		return c.sentinel.replicas(ctx)
	}
	if c.Single() {
		return 0, nil
	}
	node, err := c.cluster.MasterForKey(ctx, key)
	if err != nil {
		return 0, err
	}
	id, err := node.Do(ctx, "CLUSTER", "MYID").Text()
	if err != nil {
		return 0, err
	}
	lines, err := node.Do(ctx, "CLUSTER", "REPLICAS", id).StringSlice()
	return len(lines), err
}

// Memory is how many bytes the servers that take writes may use together (maxmemory). 0: there is no bound, or they do not
// say.
func (c *Client) Memory(ctx context.Context) (int64, error) {
	var mu sync.Mutex
	var total int64
	bounded := true
	ask := func(ctx context.Context, server *redis.Client) error {
		said, err := server.Info(ctx, "memory").Result()
		bytes, _ := strconv.ParseInt(ParseInfo(said)["maxmemory"], 10, 64)
		mu.Lock()
		defer mu.Unlock()
		total, bounded = total+bytes, bounded && bytes > 0
		return err
	}
	var err error
	if c.cluster != nil {
		err = c.cluster.ForEachMaster(ctx, ask)
	} else {
		err = ask(ctx, c.single)
	}
	if err != nil || !bounded {
		return 0, err
	}
	return total, nil
}

// Info is what INFO says, by name.
type Info map[string]string

// ParseInfo reads the answer of INFO.
func ParseInfo(text string) Info {
	info := Info{}
	for line := range strings.Lines(text) {
		if name, value, found := strings.Cut(strings.TrimSpace(line), ":"); found {
			info[name] = value
		}
	}
	return info
}

// Durable says whether the server writes each change to its log before it answers, and succeeds in that.
func (i Info) Durable() bool {
	return i["aof_enabled"] == "1" && i["aof_last_write_status"] == "ok"
}

// Evicts says whether the server throws keys away when its memory is full.
func (i Info) Evicts() bool {
	return i["maxmemory"] != "0" && i["maxmemory_policy"] != "noeviction" && i["maxmemory_policy"] != ""
}

// AtLeast compares the server's version.
func (i Info) AtLeast(major, minor int) bool {
	var have [2]int
	for n, part := range strings.SplitN(i["redis_version"], ".", 3) {
		if n > 1 {
			break
		}
		for _, c := range part {
			if c < '0' || c > '9' {
				break
			}
			have[n] = have[n]*10 + int(c-'0')
		}
	}
	return have[0] > major || have[0] == major && have[1] >= minor
}
