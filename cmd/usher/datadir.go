package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/usher-im/usher/internal/config"
)

// makeDataDir makes the folder of everything that a node keeps, for its own user alone.
func makeDataDir(cfg *config.Config) error {
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return fmt.Errorf("data_dir cannot be made (%w): make %s for usher's user, or set another data_dir (%s)", err, cfg.DataDir, cfg.Where("data_dir"))
	}
	return nil
}

// foreignOwner gives whose folder dir is, where this is root and the folder is not. What root writes there its owner
// could not read: the node would know no credential any more, and not start again.
func foreignOwner(dir string) (owner *user.User, foreign bool) {
	info, err := os.Stat(dir)
	if err != nil || os.Geteuid() != 0 {
		return nil, false
	}
	stat := info.Sys().(*syscall.Stat_t)
	if stat.Uid == 0 {
		return nil, false
	}
	uid, gid := strconv.Itoa(int(stat.Uid)), strconv.Itoa(int(stat.Gid))
	if owner, err = user.LookupId(uid); err != nil {
		owner = &user.User{Username: "#" + uid, Uid: uid, Gid: gid} // as sudo writes one without a name
	}
	return owner, true
}

// asOwner makes the rest of a command that root typed the work of dir's owner, whatever it then creates. Files that
// root alone may read are opened before.
func asOwner(dir string) error {
	owner, foreign := foreignOwner(dir)
	if !foreign {
		return nil
	}
	if err := become(owner); err != nil {
		return usage("data_dir %s belongs to %s, who could not read what root writes there: run `sudo -u '%s' usher ...`", dir, owner.Username, owner.Username)
	}
	return nil
}

func become(u *user.User) error {
	id, err := idsOf(u)
	if err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return syscall.Setgroups(id.groups) },
		func() error { return syscall.Setgid(id.gid) },
		func() error { return syscall.Setuid(id.uid) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// faultsOfOwner are what keeps the data_dir's owner, as whom the node runs, from a config that root has just read.
func faultsOfOwner(cfg *config.Config) (faults []string) {
	owner, foreign := foreignOwner(cfg.DataDir)
	if !foreign {
		return nil
	}
	id, err := idsOf(owner)
	if err != nil {
		return nil
	}
	groups, err := syscall.Getgroups()
	if err != nil {
		return nil
	}
	gid := os.Getegid()
	// Only for the time of reading; root stays who may go back.
	err = errors.Join(syscall.Setgroups(id.groups), syscall.Setegid(id.gid), syscall.Seteuid(id.uid))
	if err == nil {
		_, _, err = config.Load(config.Options{Path: cfg.Path, Env: os.Environ()})
	}
	if back := errors.Join(syscall.Seteuid(0), syscall.Setegid(gid), syscall.Setgroups(groups)); back != nil {
		return []string{back.Error()}
	}
	var all config.Faults
	if !errors.As(err, &all) {
		return nil
	}
	for _, f := range all {
		faults = append(faults, fmt.Sprintf("as %s, to whom data_dir belongs: %s", owner.Username, f))
	}
	return faults
}

type ids struct {
	uid, gid int
	groups   []int
}

func idsOf(u *user.User) (id ids, err error) {
	if id.uid, err = strconv.Atoi(u.Uid); err != nil {
		return id, err
	}
	if id.gid, err = strconv.Atoi(u.Gid); err != nil {
		return id, err
	}
	id.groups = []int{id.gid}
	names, _ := u.GroupIds() // one without a name has none
	for _, name := range names {
		if n, err := strconv.Atoi(name); err == nil {
			id.groups = append(id.groups, n)
		}
	}
	return id, nil
}

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
