package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// lockDataDir keeps a second node out of the same data_dir: two writers of one spill would lose events.
func lockDataDir(dir string) (release func(), err error) {
	path := filepath.Join(dir, "serve.lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return func() {}, fmt.Errorf("data_dir cannot be written (%w): make it writable for usher's user", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return func() {}, fmt.Errorf("another usher serves from %s: stop it, or give this one a data_dir of its own", dir)
	}
	return func() { f.Close() }, nil
}

// nodeName is what this node is called in audit rows: the host's name and a part that tells nodes on one host apart. It
// is made once and kept, because the store knows a node's rows by it.
func nodeName(dir string) (string, error) {
	path := filepath.Join(dir, "node")
	b, err := os.ReadFile(path)
	if err == nil && strings.TrimSpace(string(b)) != "" {
		return strings.TrimSpace(string(b)), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("the node's name cannot be read: %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "node"
	}
	var part [3]byte
	rand.Read(part[:])
	name := host + "-" + hex.EncodeToString(part[:])
	if err := os.WriteFile(path, []byte(name+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("the node's name cannot be kept: %w", err)
	}
	return name, nil
}
