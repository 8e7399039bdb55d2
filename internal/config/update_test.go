package config

import "flag"

// -update writes what Load says into testdata/load, and the example and the page from the types.
var _ = flag.Bool("update", false, "write anew what the tests compare with")
