package redisstore_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/redisconn/redistest"
	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/revocation/redisstore"
	"github.com/usher-im/usher/internal/revocation/storetest"
)

// That there is no such master is another thing than that there is no such revocation.
func TestStore_SaysThatTheSentinelsKnowOfNoSuchMaster(t *testing.T) {
	_, c := serveWatched(t)
	c.Sentinel = &config.Sentinel{Master: "another", Addresses: c.Sentinel.Addresses}
	s := redisstore.Open(redistest.Connect(t, c), few)
	uses := map[string]func(ctx context.Context) error{
		"List": func(ctx context.Context) error {
			_, err := s.List(ctx, revocation.Query{})
			return err
		},
		"Changes": func(ctx context.Context) error {
			_, err := s.Changes(ctx, 0, time.Second)
			return err
		},
		"Lift": func(ctx context.Context) error {
			_, _, err := s.Lift(ctx, storetest.JTI(t, "a").Key(), "cred:soc")
			return err
		},
	}
	for name, use := range uses {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		err := use(ctx)
		cancel()
		if err == nil || errors.Is(err, redis.Nil) || errors.Is(err, revocation.ErrNotFound) || !strings.Contains(err.Error(), "know of no master of this name") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
