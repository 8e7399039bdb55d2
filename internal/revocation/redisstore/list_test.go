package redisstore_test

import (
	"strings"
	"testing"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/redisconn/redistest"
	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/revocation/redisstore"
	"github.com/usher-im/usher/internal/revocation/storetest"
)

// Of a million, to go through them all takes longer than a request may.
func TestList_FindsWhatIsNamedInFullWithoutReadingAll(t *testing.T) {
	server := redistest.Serve(t)
	s := redisstore.Open(redistest.Connect(t, config.Redis{URL: server.URL(), Prefix: "usher:"}), redisstore.Options{})
	revokeAll(t, s, storetest.JTI(t, "a"), storetest.JTI(t, "b"))
	page, err := s.List(t.Context(), revocation.Query{Selector: revocation.SelectJTI, Issuer: "app", Value: "a"})
	if err != nil || len(page.Items) != 1 || page.Items[0].Value != "a" {
		t.Fatal(page, err)
	}
	if stats := redistest.Direct(t, server).Info(t.Context(), "commandstats").Val(); strings.Contains(stats, "zrevrangebyscore") {
		t.Errorf("the order was read: %s", stats)
	}
}
