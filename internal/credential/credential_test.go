package credential

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)

func open(t *testing.T, dir string) *File {
	t.Helper()
	f, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestCredential_SecretIsShownOnceAndKeptNowhere(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	secret, err := f.Create("soc-1", Revoke, now)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := os.ReadFile(filepath.Join(dir, fileName))
	if strings.Contains(string(b), secret) || strings.Contains(string(b), strings.TrimPrefix(secret, prefix)) {
		t.Fatal("the file holds the secret")
	}
	c, ok := f.Authenticate(secret, now)
	if !ok || c.Name != "soc-1" || c.Role != Revoke {
		t.Fatalf("got %+v, %v", c, ok)
	}
	if got := f.List(); len(got) != 1 || got[0] != (Credential{Name: "soc-1", Role: Revoke, CreatedAt: now}) {
		t.Fatalf("list shows %+v", got)
	}
}

func TestCredential_WrongSecretsAreRefused(t *testing.T) {
	f := open(t, t.TempDir())
	secret, err := f.Create("a", Audit, now)
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []string{"", prefix, secret[:len(secret)-1], secret + "A", strings.ToUpper(secret), strings.TrimPrefix(secret, prefix)} {
		if _, ok := f.Authenticate(wrong, now); ok {
			t.Errorf("%q was let in", wrong)
		}
	}
}

func TestCredential_RunningNodeSeesWhatTheCLIWrites(t *testing.T) {
	dir := t.TempDir()
	node, cli := open(t, dir), open(t, dir)
	for _, later := range []time.Duration{rereadAfter, -time.Hour} { // or the clock is set back
		node.Authenticate(prefix, now) // it has just looked
		secret, err := cli.Create("late", Verify, now)
		if err != nil {
			t.Fatal(err)
		}
		other, err := cli.Create("other", Verify, now)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := node.Authenticate(secret, now); !ok {
			t.Fatal("a new credential is not seen")
		}
		if err := cli.Delete("late"); err != nil {
			t.Fatal(err)
		}
		if _, ok := node.Authenticate(secret, now.Add(later)); ok {
			t.Errorf("a deleted credential is let in %v later", later)
		}
		if _, ok := node.Authenticate(other, now.Add(later)); !ok {
			t.Error("with one credential another went")
		}
		if err := cli.Delete("other"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCredential_ADamagedFileKeepsWhoIsKnownAndIsNotWrittenOver(t *testing.T) {
	dir := t.TempDir()
	node := open(t, dir)
	secret, err := node.Create("soc-1", Audit, now)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, fileName)
	if err := os.WriteFile(path, []byte(`[{"name":"so`), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, ok := node.Authenticate(secret, now.Add(2*rereadAfter)); !ok || c.Name != "soc-1" {
		t.Error("who was known is refused")
	}
	_, opening := Open(dir)
	_, creating := node.Create("soc-2", Audit, now)
	for _, err := range []error{opening, creating, node.Delete("soc-1")} {
		if err == nil || !strings.Contains(err.Error(), path+" is damaged") {
			t.Errorf("got %v", err)
		}
	}
	if b, _ := os.ReadFile(path); string(b) != `[{"name":"so` {
		t.Errorf("the file was written over: %s", b)
	}
}

func TestCredential_DeletingTheFileTakesAllAway(t *testing.T) {
	dir := t.TempDir()
	node, cli := open(t, dir), open(t, dir)
	secret, err := cli.Create("leaked", Audit, now)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := node.Authenticate(secret, now); !ok {
		t.Fatal("a credential is not seen")
	}
	var told []string
	end := node.Watch(func(c Credential, made bool) { told = append(told, fmt.Sprint(c.Name, made)) })
	if err := os.Remove(filepath.Join(dir, fileName)); err != nil {
		t.Fatal(err)
	}
	if _, ok := node.Authenticate(secret, now.Add(2*rereadAfter)); ok {
		t.Error("it is let in although its file is gone")
	}
	if _, err := cli.Create("next", Audit, now); err != nil {
		t.Fatal(err)
	}
	end()
	if want := []string{"leakedfalse", "nexttrue"}; !slices.Equal(told, want) {
		t.Errorf("told of %v", told)
	}
	if all := node.List(); len(all) != 1 {
		t.Errorf("known are %+v", all)
	}
}

func TestCredential_IsHeldUntilItIsTakenAway(t *testing.T) {
	dir := t.TempDir()
	node, cli := open(t, dir), open(t, dir)
	secret, err := cli.Create("a", Audit, now)
	if err != nil {
		t.Fatal(err)
	}
	c, ok := node.Authenticate(secret, now)
	if !ok || !node.Holds(c, now) {
		t.Fatal("a credential that is there is not held")
	}
	if err := cli.Delete("a"); err != nil {
		t.Fatal(err)
	}
	if _, err := cli.Create("a", Admin, now); err != nil {
		t.Fatal(err)
	}
	if node.Holds(c, now.Add(2*rereadAfter)) {
		t.Error("it is held although another has its name")
	}
}

// What is changed while a node reads the file is another file: it must not be taken for the one that was read.
func TestCredential_ChangeWhileTheFileIsReadIsSeen(t *testing.T) {
	dir := t.TempDir()
	cli, node := open(t, dir), open(t, dir)
	began := time.Now()
	var over atomic.Bool
	var reading sync.WaitGroup
	defer reading.Wait()
	defer over.Store(true)
	reading.Go(func() {
		for !over.Load() {
			node.Authenticate("usher_nobody's", began)
		}
	})
	for n := range 150 {
		name := fmt.Sprint("n", n)
		secret, err := cli.Create(name, Admin, began)
		if err != nil {
			t.Fatal(err)
		}
		if err := cli.Delete(name); err != nil {
			t.Fatal(err)
		}
		for later := range 2 { // the second time it looks at the file for certain
			if _, known := node.Authenticate(secret, began.Add(time.Duration(later)*time.Minute)); known && later == 1 {
				t.Fatalf("credential %d was deleted, and is let in", n)
			}
		}
	}
}

func TestCredential_LocalIsAdminAndReadableByItsOwnerAlone(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	if err := f.EnsureLocal(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(LocalPath(dir))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	secret, err := ReadSecret(LocalPath(dir))
	if err != nil {
		t.Fatal(err)
	}
	again := open(t, dir)
	if err := again.EnsureLocal(); err != nil {
		t.Fatal(err)
	}
	if c, ok := again.Authenticate(secret, now); !ok || c.Role != Admin {
		t.Fatalf("got %+v, %v", c, ok)
	}
}

func TestCredential_TwoWritersLoseNothing(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		wg.Add(1)
		go func() {
			defer wg.Done()
			f, err := Open(dir)
			if err == nil {
				_, err = f.Create(name, Audit, now)
			}
			if err != nil {
				t.Error(err)
			}
		}()
	}
	wg.Wait()
	if got := open(t, dir).List(); len(got) != 6 {
		t.Fatalf("%d of 6 credentials are there", len(got))
	}
}

func TestWatch_TellsAlsoOfOneThatWasUsedAndGoneWithinASecond(t *testing.T) {
	dir := t.TempDir()
	node, cli := open(t, dir), open(t, dir)
	var told []string
	end := node.Watch(func(c Credential, made bool) { told = append(told, fmt.Sprint(c.Name, c.Role, made)) })
	secret, err := cli.Create("brief", Admin, now)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := node.Authenticate(secret, now); !ok {
		t.Fatal("it is not let in")
	}
	if err := cli.Delete("brief"); err != nil {
		t.Fatal(err)
	}
	end()
	if want := []string{"briefadmintrue", "briefadminfalse"}; !slices.Equal(told, want) {
		t.Errorf("told of %v", told)
	}
}

func TestCredential_MistakesAreOneSentence(t *testing.T) {
	f := open(t, t.TempDir())
	if _, err := f.Create("a", Audit, now); err != nil {
		t.Fatal(err)
	}
	_, twice := f.Create("a", Audit, now)
	_, name := f.Create("A b", Audit, now)
	_, local := f.Create("local", Audit, now)
	_, role := ParseRole("root")
	for _, err := range []error{twice, name, local, role, f.Delete("zz")} {
		if err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v", err)
		}
	}
}

func TestCredential_FileOfANewerUsherIsLeftAlone(t *testing.T) {
	for _, newer := range []string{
		`[{"name":"soc-1","role":"admin","hash":"00","created_at":"2026-11-24T10:00:00Z","expires_at":"2026-11-25T10:00:00Z"}]`,
		`{"version":2,"credentials":[]}`, `[]]`,
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, fileName)
		f := open(t, dir)
		if err := os.WriteFile(path, []byte(newer), 0o600); err != nil {
			t.Fatal(err)
		}
		_, opening := Open(dir)
		_, creating := f.Create("soc-2", Audit, now)
		for _, err := range []error{opening, creating, f.Delete("soc-1")} {
			if err == nil || !strings.Contains(err.Error(), "of a newer usher") || !strings.Contains(err.Error(), path) {
				t.Errorf("%s: %v", newer, err)
			}
		}
		if b, _ := os.ReadFile(path); string(b) != newer {
			t.Errorf("%s was overwritten with %s", newer, b)
		}
	}
}

func TestRole_EachIsReadByItsName(t *testing.T) {
	for _, want := range []Role{"verify", "audit", "revoke", "admin"} {
		if got, err := ParseRole(string(want)); got != want || err != nil {
			t.Errorf("%s: %q, %v", want, got, err)
		}
	}
}

func TestRole_AdminMayAllAndOthersOnlyTheirOwn(t *testing.T) {
	if !Admin.May(Revoke) || !Audit.May(Audit, Revoke) || Verify.May(Audit, Revoke) || Audit.May(Revoke) {
		t.Fatal("roles are mixed up")
	}
}
