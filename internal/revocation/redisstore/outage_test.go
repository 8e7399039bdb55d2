package redisstore_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/redisconn"
	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/revocation/redisstore"
	"github.com/usher-im/usher/internal/revocation/storetest"
)

// diary is a log that can be read while it is written.
type diary struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (d *diary) Write(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text.Write(b)
}

func (d *diary) lines() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Split(strings.TrimSpace(d.text.String()), "\n")
}

// Whoever may not read changes, or not ask where the store stands, still gets an answer to the other question.
func TestFollowing_WithHalfOfTheRightsIsOneLineInTheLogAndItsEndAnother(t *testing.T) {
	for _, command := range []string{"xread", "info"} {
		t.Run(command, func(t *testing.T) {
			server := serve(t)
			admin := direct(t, server)
			may := func(rules ...any) {
				t.Helper()
				if err := admin.Do(t.Context(), append([]any{"ACL", "SETUSER", "usher"}, rules...)...).Err(); err != nil {
					t.Fatal(err)
				}
			}
			may(append([]any{"on", ">a-password"}, rights(t)...)...)
			log := &diary{}
			store := redisstore.Open(connect(t, config.Redis{URL: server.URL(), Username: "usher", Password: "a-password", Prefix: "usher:"}), few)
			l := revocation.Open(store, revocation.Options{Heartbeat: heartbeat, Logger: slog.New(slog.NewTextHandler(log, nil))})
			t.Cleanup(func() { l.Close() })
			<-l.Loaded()
			may("-" + command)
			storetest.Eventually(t, "the node has failed at it again and again", func() bool {
				stats := redisconn.ParseInfo(admin.Info(t.Context(), "commandstats").Val())["cmdstat_"+command]
				_, rejected, _ := strings.Cut(stats, "rejected_calls=")
				n := 0
				_, _ = fmt.Sscan(strings.Split(rejected, ",")[0], &n)
				return n >= 10
			})
			if said := log.lines(); len(said) != 1 || !strings.Contains(said[0], "cannot be followed") || !strings.Contains(said[0], command) {
				t.Errorf("while it lasts the log has %d lines: %.2000q", len(said), said)
			}
			may("+" + command)
			storetest.Eventually(t, "the log says that it is over", func() bool { return strings.Contains(fmt.Sprint(log.lines()), "followed again") })
			if said := log.lines(); len(said) != 2 {
				t.Errorf("at its end the log has %d lines: %.2000q", len(said), said)
			}
		})
	}
}
