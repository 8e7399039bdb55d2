package redisstore_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/redisconn/redistest"
	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/revocation/redisstore"
	"github.com/usher-im/usher/internal/revocation/storetest"
)

func TestStore_LeavesAloneWhatANewerUsherHasLaidOut(t *testing.T) {
	server := redistest.Serve(t)
	client := redistest.Direct(t, server)
	s := redisstore.Open(redistest.Connect(t, config.Redis{URL: server.URL(), Prefix: "usher:"}), few)
	standing := storetest.JTI(t, "a")
	revokeAll(t, s, standing)
	if err := client.HSet(t.Context(), "usher:{revocation}:meta", "format", "2").Err(); err != nil {
		t.Fatal(err)
	}
	dump := func() string { return client.Dump(t.Context(), "usher:{revocation}:index").Val() }
	before := dump()
	for what, do := range map[string]func() error{
		"revoke": func() error {
			_, err := s.Revoke(t.Context(), []revocation.Revocation{storetest.JTI(t, "b")})
			return err
		},
		"lift": func() error { _, _, err := s.Lift(t.Context(), standing.Key(), "cred:lifter"); return err },
		"restore": func() error {
			_, err := s.Restore(t.Context(), []revocation.Lost{{Entry: standing.Entry()}})
			return err
		},
		"state":   func() error { _, err := s.State(t.Context(), revocation.Identity{Epoch: "e"}, "beat"); return err },
		"look up": func() error { _, err := s.Lookup(t.Context(), []revocation.Key{standing.Key()}); return err },
		"get":     func() error { _, err := s.Get(t.Context(), standing.Key()); return err },
		"list":    func() error { _, err := s.List(t.Context(), revocation.Query{}); return err },
		"info":    func() error { _, err := s.Info(t.Context()); return err },
		"list of what lies elsewhere": func() error {
			defer client.Rename(t.Context(), "usher:{revocation}:order2", "usher:{revocation}:order")
			client.Rename(t.Context(), "usher:{revocation}:order", "usher:{revocation}:order2")
			_, err := s.List(t.Context(), revocation.Query{})
			return err
		},
	} {
		err := do()
		if err == nil || !strings.Contains(err.Error(), `format "2" of a newer usher`) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if dump() != before {
		t.Error("the entries were written to")
	}
}

func TestLedger_StartsWithNoEntryThatItCannotRead(t *testing.T) {
	for what, packed := range map[string]string{
		"of another length":   strings.Repeat("\x02", 14),
		"of a later selector": "\x63" + strings.Repeat("\x00", 12),
	} {
		server := redistest.Serve(t)
		client := redistest.Direct(t, server)
		s := redisstore.Open(redistest.Connect(t, config.Redis{URL: server.URL(), Prefix: "usher:"}), few)
		r := storetest.JTI(t, "a")
		revokeAll(t, s, r)
		key := r.Key()
		if err := client.HSet(t.Context(), "usher:{revocation}:index", string(key[:]), packed).Err(); err != nil {
			t.Fatal(err)
		}
		client.Del(t.Context(), "usher:{revocation}:order")
		said := make(lines, 1)
		l := revocation.Open(s, revocation.Options{Logger: slog.New(slog.NewTextHandler(said, nil))})
		select {
		case <-l.Loaded():
			t.Errorf("an entry %s was taken for none", what)
		case line := <-said:
			if !strings.Contains(line, r.ID) || !strings.Contains(line, "run the newest version of the fleet here") {
				t.Errorf("%s: %s", what, line)
			}
		}
		l.Close()
		if found, err := s.Lookup(t.Context(), []revocation.Key{key}); err == nil {
			t.Errorf("%s: looked up as %v", what, found)
		}
	}
}

// lines takes the first line of a log.
type lines chan string

func (l lines) Write(b []byte) (int, error) {
	select {
	case l <- string(bytes.TrimSpace(b)):
	default:
	}
	return len(b), nil
}
