package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

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
	var err error
	if back := onceAs(owner, func() { _, _, err = config.Load(config.Options{Path: cfg.Path, Env: os.Environ()}) }); back != nil {
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

// onceAs does something as another user, and is root again after it. It does nothing where root may not change: in a
// container, for one.
func onceAs(u *user.User, do func()) (back error) {
	id, err := idsOf(u)
	if err != nil {
		return nil
	}
	groups, err := syscall.Getgroups()
	if err != nil {
		return nil
	}
	gid := os.Getegid()
	// Only for that time; root stays who may go back. What could not be changed could not be changed back either.
	for _, step := range []struct{ there, back func() error }{
		{func() error { return syscall.Setgroups(id.groups) }, func() error { return syscall.Setgroups(groups) }},
		{func() error { return syscall.Setegid(id.gid) }, func() error { return syscall.Setegid(gid) }},
		{func() error { return syscall.Seteuid(id.uid) }, func() error { return syscall.Seteuid(0) }},
	} {
		if step.there() != nil {
			return nil
		}
		defer func() { back = errors.Join(back, step.back()) }()
	}
	do()
	return nil
}

// What a node reads in its data_dir, and what it also writes.
var (
	readThere    = []string{"local.credential", "node"}
	writtenThere = []string{".", "serve.lock", "credentials.json", ".credentials.json.lock", "command.lock",
		"revocations.db", "revocations.db-wal", "revocations.db-shm", "audit", "audit/*.audit", "spill", "spill/*.spill"}
)

// hindrance says what keeps the owner of dir, as whom the node runs, from what is in it, and what to do. It is empty where
// nothing does, and where this user may not know.
func hindrance(dir string) (says, remedy string) {
	look := func() { says, remedy = lookInto(dir) }
	if owner, foreign := foreignOwner(dir); foreign {
		_ = onceAs(owner, look)
	} else if info, err := os.Stat(dir); err == nil && int(info.Sys().(*syscall.Stat_t).Uid) == os.Geteuid() {
		look()
	}
	return says, remedy
}

func lookInto(dir string) (says, remedy string) {
	for i, name := range append(slices.Clone(writtenThere), readThere...) {
		wanted := uint32(unix.R_OK)
		if i < len(writtenThere) {
			wanted |= unix.W_OK
		}
		paths, _ := filepath.Glob(filepath.Join(dir, name))
		for _, path := range paths {
			if says, remedy = denied(dir, path, wanted); says != "" {
				return says, remedy
			}
		}
	}
	if isFull(dir) {
		return "the disk of " + dir + " is full: nobody can be revoked in the embedded store, and audit events may be lost", "make room on it"
	}
	return "", ""
}

// denied says why this process may not do with path, in dir, what is wanted.
func denied(dir, path string, wanted uint32) (says, remedy string) {
	info, err := os.Stat(path)
	if err != nil {
		return "", "" // it is gone
	}
	if info.IsDir() {
		wanted |= unix.X_OK
	}
	err = unix.Faccessat(unix.AT_FDCWD, path, wanted, unix.AT_EACCESS)
	owner, ours := int(info.Sys().(*syscall.Stat_t).Uid), os.Geteuid()
	switch {
	case errors.Is(err, unix.EROFS):
		return path + " can only be read, and a node writes there",
			"mount it to be written; under usher.service that also takes ReadWritePaths=" + dir + " (systemctl edit usher)"
	case errors.Is(err, fs.ErrPermission) && owner != ours:
		return fmt.Sprintf("%s belongs to %s, and data_dir to %s, who may not use it", path, userName(owner), userName(ours)),
			"chown -R --reference=" + dir + " " + dir
	case errors.Is(err, fs.ErrPermission):
		return path + " may not be read and written by its owner", "chmod -R u+rwX " + dir
	}
	return "", ""
}

// isFull says whether the disk of dir takes nothing more.
func isFull(dir string) bool {
	f, err := os.CreateTemp(dir, ".try-")
	if err == nil {
		_, err = f.Write(make([]byte, 64<<10))
		err = errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

func userName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return "#" + strconv.Itoa(uid)
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

// takeTurn waits until no other command writes to data_dir without a node.
func takeTurn(ctx context.Context, dir string) (turn *os.File, err error) {
	turn, err = os.OpenFile(filepath.Join(dir, "command.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data_dir cannot be written (%w): make it writable for usher's user", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*journalTime)
	defer cancel()
	for syscall.Flock(int(turn.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			turn.Close()
			return nil, fmt.Errorf("another command writes to the audit in %s and does not end: wait for it, or end it", dir)
		}
	}
	return turn, nil
}

// lockForNode is lockDataDir for a node that starts. A command that has it locked ends soon, and is waited for.
func lockForNode(ctx context.Context, dir string) (release func(), err error) {
	turn, err := takeTurn(ctx, dir)
	if err != nil {
		return func() {}, err
	}
	defer turn.Close()
	return lockDataDir(dir)
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
