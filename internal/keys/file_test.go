package keys

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/token"
)

// watching is the usual pace without the poll, so that a test shows what the watch alone finds.
func watching() pace {
	p := usual
	p.poll = time.Hour
	return p
}

// polling is the usual pace with a poll alone: what the watch sees is never looked at.
func polling() pace {
	p := usual
	p.poll, p.settle = 10*time.Millisecond, time.Hour
	return p
}

func secretOf(t *testing.T, r *Ring) string {
	t.Helper()
	k, p := r.Find(t.Context(), "", false, token.HS256, time.Now(), nobody)
	if p != nil {
		t.Fatal(p)
	}
	return string(k.Material.([]byte))
}

func TestFile_ReloadsWhenItChanges(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, path string){
		"written in place": func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(secretB), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"put in place":          func(t *testing.T, path string) { write(t, path, secretB) },
		"removed and made anew": func(t *testing.T, path string) { must(os.Remove(path)); write(t, path, secretB) },
	} {
		for how, p := range map[string]pace{"watched": watching(), "polled": polling()} {
			t.Run(name+", "+how, func(t *testing.T) {
				log, path := newNews(), fileWith(t, secretA)
				r := openRing(t, p, log, config.KeySource{SecretFile: path})
				before := r.Generation()
				change(t, path)
				log.wait(t, "Keys were reloaded")
				until(t, "the new secret serves", func() bool { return secretOf(t, r) == secretB })
				until(t, "the generation has moved", func() bool { return r.Generation() != before })
			})
		}
	}
}

// Kubernetes mounts a folder whose files are links through ..data, and swaps that link for all files at once.
func TestFile_ReloadsWhenKubernetesSwapsTheLink(t *testing.T) {
	dir := t.TempDir()
	for version, content := range map[string]string{"..1": secretA, "..2": secretB} {
		must(os.Mkdir(filepath.Join(dir, version), 0o700))
		write(t, filepath.Join(dir, version, "app.secret"), content)
	}
	must(os.Symlink("..1", filepath.Join(dir, "..data")))
	path := filepath.Join(dir, "app.secret")
	must(os.Symlink("..data/app.secret", path))
	log := newNews()
	r := openRing(t, watching(), log, config.KeySource{SecretFile: path})

	must(os.Symlink("..2", filepath.Join(dir, "..data_tmp")))
	must(os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	must(os.RemoveAll(filepath.Join(dir, "..1")))
	log.wait(t, "Keys were reloaded")
	until(t, "the new secret serves", func() bool { return secretOf(t, r) == secretB })
}

func TestFile_ThatALinkElsewhereLeadsToIsFoundByThePoll(t *testing.T) {
	target := fileWith(t, secretA)
	link := filepath.Join(t.TempDir(), "app.secret")
	must(os.Symlink(target, link))
	log := newNews()
	r := openRing(t, polling(), log, config.KeySource{SecretFile: link})
	write(t, target, secretB)
	log.wait(t, "Keys were reloaded")
	until(t, "the new secret serves", func() bool { return secretOf(t, r) == secretB })
}

func TestFile_AFolderThatComesBackIsWatchedAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	must(os.Mkdir(dir, 0o700))
	path := write(t, filepath.Join(dir, "app.secret"), secretA)
	p, log := usual, newNews()
	p.poll = 10 * time.Millisecond
	r := openRing(t, p, log, config.KeySource{SecretFile: path})
	must(os.RemoveAll(dir))
	log.wait(t, "is not taken")
	must(os.Mkdir(dir, 0o700))
	write(t, path, secretB)
	log.wait(t, "Keys were reloaded")
	until(t, "the new secret serves", func() bool { return secretOf(t, r) == secretB })
}

func TestFile_ABadNewOneKeepsTheLastGoodKeysAndSaysSo(t *testing.T) {
	good := jwks(member([]byte(secretA), "kid", "a"))
	for name, c := range map[string]struct{ bad, want string }{
		"no JSON":          {`{"keys":`, "no JSON Web Key Set"},
		"no key":           {`{"keys":[]}`, "holds no key"},
		"only a weak key":  {jwks(member([]byte("hunter2"), "kid", "b")), "allow_short_secret"},
		"larger than ever": {strings.Repeat(" ", 2<<20), "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			log, path := newNews(), fileWith(t, good)
			r := openRing(t, watching(), log, config.KeySource{JWKS: path, Where: "usher.yaml:31"})
			before := r.Generation()
			write(t, path, c.bad)
			line := log.wait(t, "is not taken")
			if !strings.Contains(line, "usher.yaml:31") || strings.Contains(line, "hunter2") {
				t.Errorf("logged %s", line)
			}
			expect(t, r, "a", token.HS256, "a")
			if text := errorsOf(r); !strings.Contains(text, c.want) {
				t.Errorf("list shows %q, want %q", text, c.want)
			}
			if r.Generation() != before {
				t.Error("a bad file voided what was proven")
			}
			write(t, path, good)
			log.wait(t, "as it was before")
			if text := errorsOf(r); text != "" {
				t.Errorf("list still shows %s", text)
			}
		})
	}
}

func TestFile_AKeyThatIsTakenOutStopsWorking(t *testing.T) {
	a, b := member([]byte(secretA), "kid", "a"), member([]byte(secretB), "kid", "b")
	log, path := newNews(), fileWith(t, jwks(a, b))
	r := openRing(t, watching(), log, config.KeySource{JWKS: path})
	before := r.Generation()
	write(t, path, jwks(b))
	until(t, "the generation has moved", func() bool { return r.Generation() != before })
	expect(t, r, "a", token.HS256, notFoundCode)
	expect(t, r, "b", token.HS256, "b")
}

func TestFile_TheSameKeysWrittenAgainVoidNothing(t *testing.T) {
	ed := newEd25519()
	set := jwks(member(ed, "kid", "a"))
	log, path := newNews(), fileWith(t, set)
	r := openRing(t, watching(), log, config.KeySource{JWKS: path})
	before := r.Generation()
	write(t, path, " "+set+"\n")
	log.wait(t, "Keys were reloaded")
	if r.Generation() != before {
		t.Error("the generation moved")
	}
}

func TestRing_AKeyThatReachesItsEndMovesTheGeneration(t *testing.T) {
	end := time.Now().Add(50 * time.Millisecond)
	r := ring(t, config.KeySource{Secret: secretA, Kid: "a", NotAfter: end}, config.KeySource{Secret: secretB, Kid: "b"})
	before := r.Generation()
	until(t, "the generation has moved", func() bool { return r.Generation() != before })
	if time.Now().Before(end) {
		t.Error("too early")
	}
	expect(t, r, "a", token.HS256, notFoundCode)
}

func TestRing_GenerationsOfTwoRingsDiffer(t *testing.T) {
	a, b := ring(t, config.KeySource{Secret: secretA}), ring(t, config.KeySource{Secret: secretA})
	if a.Generation() == b.Generation() {
		t.Error("what rested on the ring before a reload would count for the one after it")
	}
}
