package keys

import (
	"context"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/token"
)

func TestSmoke(t *testing.T) {
	r, err := Open(context.Background(), []config.KeySource{{Secret: "0123456789012345678901234567890123", Where: "usher.yaml:3"}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	k, p := r.Find(context.Background(), "zzz", true, token.HS256, time.Now())
	if p != nil {
		t.Fatal(p)
	}
	t.Log(k.ID, r.DefaultAlgorithms(), r.List(), r.Generation())
}
