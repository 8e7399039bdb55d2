package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/redisconn"
	revocationredis "github.com/usher-im/usher/internal/revocation/redisstore"
	revocationsqlite "github.com/usher-im/usher/internal/revocation/sqlitestore"
	"github.com/usher-im/usher/internal/wire"
)

type doctorCmd struct {
	node
	Prosody string `help:"Prosody's config, to see whether it asks this verifier." placeholder:"FILE" type:"path"`
	JSON    bool   `help:"As JSON, one object per line."`
}

// Results of a check of the doctor.
const (
	well    = "pass"
	doubt   = "warn"
	ill     = "fail"
	omitted = "skipped"
)

// finding is what one check found.
type finding struct {
	Name   string `json:"name"`
	Result string `json:"result"`
	Detail string `json:"detail"`
	// Remedy is what to do about it.
	Remedy string `json:"remedy,omitempty"`
}

// doctor goes through an installation from the config to Prosody. What one check opened the next ones use.
type doctor struct {
	cmd      *doctorCmd
	c        *commands
	s        streams
	cfg      *config.Config
	rules    *rules
	usable   bool    // data_dir: a look into a file of SQLite makes others beside it, as that is
	client   *client // nil: the node's admin listener cannot be asked
	findings []finding
}

// Run changes nothing and leaves no decision behind.
func (cmd *doctorCmd) Run(ctx context.Context, c *commands, s streams) error {
	d := &doctor{cmd: cmd, c: c, s: s}
	exit := exitFailed
	if d.config() {
		d.dataDir()
		for _, look := range []func(context.Context){d.keys, d.store, d.verifier, d.admin, d.tokens, d.prosody} {
			before := len(d.findings)
			if look(ctx); ctx.Err() != nil {
				d.findings = d.findings[:before] // what is broken off finds faults that are none
				break
			}
		}
	} else {
		exit = exitUsage
	}
	if d.rules != nil {
		d.rules.close()
	}
	if err := d.print(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return errors.New("interrupted: the checks that are not shown were not made")
	}
	failed := 0
	for _, f := range d.findings {
		if f.Result == ill {
			failed++
		}
	}
	if failed > 0 {
		return &failure{exit, fmt.Errorf("%d of %d checks failed", failed, len(d.findings))}
	}
	return nil
}

func (d *doctor) found(name, result, remedy, detail string, a ...any) {
	d.findings = append(d.findings, finding{Name: name, Result: result, Detail: d.c.reach.hint(fmt.Sprintf(detail, a...)), Remedy: d.c.reach.hint(remedy)})
}

func (d *doctor) print() error {
	if d.cmd.JSON {
		return printLines(d.s.out, d.findings)
	}
	marks := map[string]string{well: "pass", doubt: "warn", ill: "FAIL", omitted: "skip"}
	var b strings.Builder
	for _, f := range d.findings {
		fmt.Fprintf(&b, "%s  %-9s %s\n", marks[f.Result], f.Name, f.Detail)
		if f.Remedy != "" {
			fmt.Fprintf(&b, "                what to do: %s\n", f.Remedy)
		}
	}
	_, err := fmt.Fprint(d.s.out, b.String())
	return err
}

// config reads it as serve would. Without one there is nothing to go on with.
func (d *doctor) config() bool {
	cfg, warnings, err := config.Load(config.Options{Path: d.c.Config, Env: os.Environ()})
	for _, w := range warnings {
		d.found("config", doubt, "", "%s", w)
	}
	var faults config.Faults
	if errors.As(err, &faults) {
		for _, f := range faults {
			d.found("config", ill, "", "%s", f)
		}
		return false
	}
	if err != nil {
		d.found("config", ill, "", "%v", err)
		return false
	}
	d.cfg = cfg
	if faults := faultsOfOwner(cfg); len(faults) > 0 {
		for _, fault := range faults {
			d.found("config", ill, "", "%s", fault)
		}
		return true
	}
	d.found("config", well, "", "%s: %s", cmp.Or(cfg.Path, "the environment"), summary(cfg))
	return true
}

func (d *doctor) dataDir() {
	dir := d.cfg.DataDir
	info, err := os.Stat(dir)
	hindered, remedy := hindrance(dir)
	d.usable = hindered == ""
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.found("data_dir", doubt, "", "%s is not there yet; the first `usher serve` makes it", dir)
	case err != nil:
		d.found("data_dir", ill, "run the doctor as usher's own user", "%v", err)
	case !info.IsDir():
		d.found("data_dir", ill, "name a folder ("+d.cfg.Where("data_dir")+")", "%s is no folder", dir)
	case hindered != "":
		d.found("data_dir", ill, remedy, "%s", hindered)
	case info.Mode().Perm()&0o077 != 0:
		d.found("data_dir", doubt, "chmod 0700 "+dir, "%s is open to other users of this machine, and what it holds is not for them", dir)
	default:
		d.found("data_dir", well, "", "%s is for its owner alone", dir)
	}
}

// keys opens every source, and waits for what key servers answer.
func (d *doctor) keys(ctx context.Context) {
	r, err := openRules(d.cfg, nil, nil, nil)
	if err != nil {
		d.found("keys", ill, "", "%v", err)
		return
	}
	d.rules = r
	r.settle(ctx)
	good := 0
	for _, row := range r.list() {
		switch {
		case row.LastError != "":
			d.found("keys", doubt, "see to the source; its last good keys serve on for max_stale", "%s: issuer %s: %s (%s)", row.Where, row.Issuer, row.LastError, row.Source)
		case !row.NotAfter.IsZero() && row.NotAfter.Before(time.Now()):
			d.found("keys", doubt, "remove it from the config", "%s: the key %s of issuer %s ended on %s", row.Where, row.ID, row.Issuer, row.NotAfter.Format(time.RFC3339))
		case row.ID != "":
			good++
		}
	}
	if good == 0 {
		d.found("keys", doubt, "`usher keys list` shows the sources; a key server is asked when the first token comes", "no key is loaded at the moment")
		return
	}
	d.found("keys", well, "", "%d key(s) are loaded", good)
}

// store asks Redis whether what it acknowledges outlives it.
func (d *doctor) store(ctx context.Context) {
	if path := revocationsPath(d.cfg); d.cfg.Redis == nil {
		if info, err := os.Stat(path); err == nil && info.Size() > 0 && d.usable {
			if _, err := revocationsqlite.Count(ctx, path); err != nil {
				d.found("store", ill, "", "the revocations cannot be read: %v", err)
				return
			}
		}
		d.found("store", well, "", "embedded, in data_dir: right for one node; a fleet shares a Redis")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if d.usable {
		if says, remedy := leftBehind(ctx, d.cfg); says != "" {
			d.found("store", doubt, remedy, "%s", says)
		}
	}
	client, err := connect(d.cfg)
	if err != nil {
		d.found("store", ill, "", "%v", err)
		return
	}
	defer client.Close()
	info, err := revocationredis.Open(client, revocationredis.Options{}).Info(ctx)
	if err != nil {
		d.found("store", ill, "start it, or correct "+d.cfg.Where("redis"), "Redis cannot be asked: %v", err)
		return
	}
	d.writes(info)
	if info.Evicts() {
		d.found("store", doubt, "set maxmemory-policy noeviction", "Redis throws keys away when its memory is full (%s), and a revocation may be one", info["maxmemory_policy"])
	}
	if says := shortOfMemory(ctx, d.cfg, client); says != "" {
		d.found("store", doubt, "set audit.max_size ("+d.cfg.Where("audit.max_size")+") well below maxmemory, or raise that", "%s", says)
	}
	d.found("store", well, "", "Redis %s answers, %s replica(s)", info["redis_version"], info["connected_slaves"])
}

// writes judges whether what is written to Redis stays there.
func (d *doctor) writes(info redisconn.Info) {
	switch {
	case info["role"] == "slave":
		d.found("store", ill, "name its master, or Sentinels that know which server that is ("+d.cfg.Where("redis")+")", "this Redis is a replica, which takes no revocation: nodes never become ready")
	case info["aof_enabled"] == "1" && !info.Durable():
		d.found("store", ill, "make room on the disk that it writes to (redis-cli config get dir)", "Redis cannot write its log (AOF), so that nobody can be revoked")
	case !info.Durable():
		d.found("store", doubt, "redis-cli config set appendonly yes, and the same in redis.conf", "Redis does not write each change to its disk (AOF), so a crash forgets revocations; they are answered as not yet replicated")
	}
}

// verifier asks the listener that Prosody asks.
func (d *doctor) verifier(ctx context.Context) {
	contract, lacks, err := askReady(ctx, "http://"+reachable(d.cfg.Listen))
	var waits unready
	switch {
	case errors.As(err, &waits):
		d.found("verifier", ill, "", "%s answers, but not Prosody's questions: %v", d.cfg.Listen, err)
	case err != nil:
		d.found("verifier", ill, "start it: `usher serve`, or systemctl start usher; where it does not stay, its log says why (journalctl -u usher)", "nobody answers at %s: %v", d.cfg.Listen, err)
	case contract != wire.Version:
		d.found("verifier", ill, "restart it, so that it is the version that is installed", "what answers at %s speaks contract %d, and this usher %d", d.cfg.Listen, contract, wire.Version)
	case lacks != "":
		d.found("verifier", doubt, "mend the store", "%s is ready, but %s", d.cfg.Listen, lacks)
	default:
		d.found("verifier", well, "", "%s is ready, contract %d", d.cfg.Listen, contract)
	}
}

// unready is why a verifier that runs answers no questions, and what to do.
type unready string

func (u unready) Error() string { return string(u) }

// askReady asks a verifier whether it is ready, for the version of the contract with Prosody's modules, and for what its
// verdicts may fail.
func askReady(ctx context.Context, base string) (contract int, lacks string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/readyz", nil)
	if err != nil {
		return 0, "", err
	}
	resp, err := (&http.Client{Transport: direct()}).Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	var said struct {
		Contract int    `json:"contract"`
		Detail   string `json:"detail"`
	}
	err = json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&said) // it may be anybody's
	switch ok := resp.StatusCode == http.StatusOK; {
	case err != nil || !ok && said.Detail == "":
		return 0, "", errors.New("what answers there is no usher")
	case !ok:
		return 0, "", unready(said.Detail)
	}
	return said.Contract, said.Detail, nil
}

// admin asks the listener that the other commands use.
func (d *doctor) admin(ctx context.Context) {
	cl, err := d.cmd.client(d.c, d.s)
	if err != nil {
		d.found("admin", ill, "", "%v", err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := cl.do(ctx, http.MethodGet, "/v1/keys", nil, nil); err != nil {
		d.found("admin", ill, "", "%v", err)
		return
	}
	d.client = cl
	d.found("admin", well, "", "%s takes this machine's credential", cl.base)
}
