package audit

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// lockFolder keeps a second process from writing into the same spill. The lock goes with the process.
func lockFolder(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the folder of the audit spill: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("another usher writes its audit to %s: stop it, or give this one a data_dir of its own", dir)
	}
	return f, nil
}

// Writer is the name under which a node's rows lie in a shared store. It is made once and kept beside the spill: rows
// that are sent again after a crash are known by it, and two nodes that share a host name do not share it.
func Writer(dir string) (string, error) {
	path := filepath.Join(dir, "writer")
	text, err := os.ReadFile(path)
	if name := strings.TrimSpace(string(text)); err == nil && len(name) == 12 {
		return name, nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read the audit writer's name: %w", err)
	}
	var random [6]byte
	_, _ = rand.Read(random[:]) // never fails, see crypto/rand
	name := hex.EncodeToString(random[:])
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make the folder of the audit spill: %w", err)
	}
	if err := os.WriteFile(path, []byte(name+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("keep the audit writer's name: %w", err)
	}
	return name, nil
}
