package config

// Options is where Load looks.
type Options struct {
	// Path is the file that --config names. Empty: $USHER_CONFIG, ./usher.yaml, /etc/usher/usher.yaml.
	Path string
	// Env is the environment as NAME=value, as os.Environ gives it.
	Env []string
}

// Load reads the config file, or the environment where there is none, applies defaults and checks everything.
// The error is a Faults: every mistake, each in one sentence that names file, line and remedy.
func Load(opt Options) (*Config, []Warning, error) {
	return nil, nil, nil
}

// Where tells where in the config a value comes from: "profiles.default.issuers[0].audiences" is "usher.yaml:31".
func (c *Config) Where(path string) string { return path }

// Example is a commented config that runs as it is.
func Example() string { return "" }

// Warning is something that is accepted and should not stay so.
type Warning struct {
	// Where is file and line, or the environment variable.
	Where string
	// Text is one sentence: what, and what to do.
	Text string
}

func (w Warning) String() string { return w.Where + ": " + w.Text }

// Size is a number of bytes, written as 8KiB or 10GiB.
type Size int64

type places struct{}
