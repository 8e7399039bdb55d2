package credential

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	fileName  = "credentials.json"
	localName = "local.credential"
	// rereadAfter bounds how often the file is looked at for changes made by the CLI.
	rereadAfter = time.Second
)

// File is the credentials of one node, in its data_dir. The CLI changes the file while the node runs; the node sees it
// within a second. Its methods may be called from any number of goroutines.
type File struct {
	dir string

	mu      sync.Mutex
	all     []Credential
	local   Credential
	stamp   fs.FileInfo // of the file at the last read; nil where there was none
	checked time.Time
	saw     func(c Credential, made bool) // nil: nobody watches
}

// Open reads the credentials in dir.
func Open(dir string) (*File, error) {
	f := &File{dir: dir}
	return f, f.read()
}

// LocalPath is where the secret of the CLI on this machine lies.
func LocalPath(dir string) string { return filepath.Join(dir, localName) }

// EnsureLocal makes the secret with which the CLI on the same machine, as the same user, is let in without set-up:
// mode 0600, role admin. One that is there is kept.
func (f *File) EnsureLocal() error {
	path := LocalPath(f.dir)
	secret, err := ReadSecret(path)
	if errors.Is(err, fs.ErrNotExist) {
		secret = newSecret()
		err = writeWhole(path, []byte(secret+"\n"))
	}
	if err != nil {
		return fmt.Errorf("the CLI's own credential %s can be neither read nor made: %w", path, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.local = Credential{Name: "local", Role: Admin, Hash: hashOf(secret)}
	return nil
}

// ReadSecret reads a secret from a file; white space around it is not part of it.
func ReadSecret(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(b)), nil
}

// Authenticate finds whose secret this is.
func (f *File) Authenticate(secret string, now time.Time) (Credential, bool) {
	if !strings.HasPrefix(secret, prefix) {
		return Credential{}, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refresh(now)
	if c, ok := match(f.known(), secret); ok {
		return c, true
	}
	// Perhaps it has been made this moment. Who guesses is slowed by the caller, not by our reading.
	f.reread()
	return match(f.known(), secret)
}

// Holds tells whether a credential that was found is still there, for answers that go on for longer than a moment.
func (f *File) Holds(c Credential, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refresh(now)
	return slices.Contains(f.known(), c)
}

// refresh looks at the file, unless it was looked at a moment ago.
func (f *File) refresh(now time.Time) {
	if age := now.Sub(f.checked); age >= rereadAfter || age < 0 {
		f.checked = now
		f.reread()
	}
}

func (f *File) known() []Credential { return append(f.all[:len(f.all):len(f.all)], f.local) }

// reread takes up what the CLI wrote. A file that cannot be read leaves what was known: the node stays usable, and
// whoever broke the file sees it from the CLI. One that was deleted leaves nothing: that is how all are taken away at once.
func (f *File) reread() {
	info, err := os.Stat(filepath.Join(f.dir, fileName))
	// Writers replace the file: another file is another content, whatever the clock's grain.
	if err == nil && f.stamp != nil && os.SameFile(info, f.stamp) && info.ModTime().Equal(f.stamp.ModTime()) {
		return
	}
	_ = f.read()
}

// List shows the credentials, without their hashes.
func (f *File) List() []Credential {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]Credential, len(f.all))
	for n, c := range f.all {
		c.Hash = ""
		out[n] = c
	}
	return out
}

// Create adds a credential and gives its secret, which is kept nowhere.
func (f *File) Create(name string, role Role, now time.Time) (secret string, err error) {
	if err := CheckName(name); err != nil {
		return "", err
	}
	secret = newSecret()
	err = f.change(func(all []Credential) ([]Credential, error) {
		for _, c := range all {
			if c.Name == name {
				return nil, fmt.Errorf("there is a credential %q already: choose another name, or `usher credential delete %s` first", name, name)
			}
		}
		return append(all, Credential{Name: name, Role: role, Hash: hashOf(secret), CreatedAt: now.UTC().Truncate(time.Second)}), nil
	})
	if err != nil {
		return "", err
	}
	return secret, nil
}

// Delete takes a credential away; a running node refuses it within a second.
func (f *File) Delete(name string) error {
	return f.change(func(all []Credential) ([]Credential, error) {
		for n, c := range all {
			if c.Name == name {
				return append(all[:n:n], all[n+1:]...), nil
			}
		}
		return nil, fmt.Errorf("there is no credential %q: see `usher credential list`", name)
	})
}

// change rewrites the file under a lock, so that two CLIs at once lose nothing.
func (f *File) change(edit func([]Credential) ([]Credential, error)) error {
	lock, err := os.OpenFile(filepath.Join(f.dir, "."+fileName+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("credentials cannot be changed: %w", err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("credentials cannot be locked: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.read(); err != nil {
		return err
	}
	all, err := edit(append([]Credential(nil), f.all...))
	if err != nil {
		return err
	}
	b, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	if err := writeWhole(filepath.Join(f.dir, fileName), append(b, '\n')); err != nil {
		return fmt.Errorf("credentials cannot be written: %w", err)
	}
	return f.read()
}

func (f *File) read() error {
	path := filepath.Join(f.dir, fileName)
	b, info, err := readWhole(path)
	if errors.Is(err, fs.ErrNotExist) {
		f.take(nil, nil)
		return nil
	}
	if err != nil {
		return fmt.Errorf("credentials cannot be read: %w", err)
	}
	all, err := parse(b)
	if err != nil {
		return fmt.Errorf("%s is damaged, or of a newer usher (%w): run that version, mend it, or delete it and create the credentials anew", path, err)
	}
	f.take(all, info)
	return nil
}

// parse takes no member that it does not know: a newer usher may have bound a credential by it, to a time or a listener, and
// writing the file without it would free that for good.
func parse(b []byte) (all []Credential, err error) {
	if err := json.Unmarshal(b, &all); err != nil { // of which nothing may follow, either
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	all = nil
	err = d.Decode(&all)
	return all, err
}

// readWhole gives the content of a file and which file that was: another may have its name a moment later.
func readWhole(path string) (content []byte, which fs.FileInfo, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	if which, err = file.Stat(); err != nil {
		return nil, nil, err
	}
	content, err = io.ReadAll(file)
	return content, which, err
}

func (f *File) take(all []Credential, stamp fs.FileInfo) {
	if f.saw != nil {
		f.tell(all)
	}
	f.all, f.stamp = all, stamp
}

// writeWhole replaces a file in one step, readable by its owner alone.
func writeWhole(path string, content []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // gone already where all went well
	if _, err = tmp.Write(content); err == nil {
		err = tmp.Sync()
	}
	if closeErr := tmp.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
