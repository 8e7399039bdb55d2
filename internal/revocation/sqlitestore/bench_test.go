package sqlitestore_test

import (
	"path/filepath"
	"testing"

	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/revocation/storetest"
)

func BenchmarkLoadAMillion(b *testing.B) {
	path := filepath.Join(b.TempDir(), "revocations.db")
	storetest.BenchmarkLoad(b, func() revocation.Store { return open(b, path, 0) })
}

func BenchmarkRevoke(b *testing.B) {
	storetest.BenchmarkRevoke(b, open(b, filepath.Join(b.TempDir(), "revocations.db"), 0))
}
