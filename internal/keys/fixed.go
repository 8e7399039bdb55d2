package keys

import "time"

// fixed is a secret or PEM that the config itself holds, or the environment. It never changes.
type fixed struct {
	where string
	keys  []*Key
	since time.Time
}

func (s *fixed) current() []*Key { return s.keys }

func (s *fixed) list(now time.Time) []Info {
	return infos(s.keys, Info{Where: s.where, Source: s.keys[0].Source, FetchedAt: s.since}, now)
}
