package sqlitestore

import (
	"database/sql"
	"slices"
	"strings"

	"github.com/usher-im/usher/internal/audit"
)

// way is how the rows of a slice are reached: by their keys, which an index gave, or by a condition.
type way struct {
	keys  []uint64 // newest first
	known bool     // only the keys

	index   string // INDEXED BY
	class   bool   // the condition begins with a class of row
	where   string
	args    []any
	order   string
	forward bool        // look from front to back, the way a disk reads ahead, since all rows are looked at anyway
	late    func() bool // the search must end
}

// nowhere says that the slice has nothing to look at.
func (w *way) nowhere() bool { return w.known && len(w.keys) == 0 }

// way chooses the most selective term, else the class of row, else all of the time asked for.
func (f *search) way(sl *slice) (way, error) {
	keys, known, err := sl.candidates(&f.q)
	if err != nil {
		return way{}, err
	}
	if known {
		return f.byKeys(keys), nil
	}
	w := way{where: "k >= ? AND k < ?", args: []any{int64(f.from), int64(f.below)}, late: func() bool { return false }}
	switch classes := classesOf(&f.q); len(classes) {
	case 1:
		w.class, w.where = true, "n = ? AND "+w.where
		w.args = append(classes, w.args...)
	case 2: // the keys first, so that rows can be read in their order, and no more of them than fill a page
		w.where = "k IN (SELECT k FROM rows WHERE n IN (?, ?) AND " + w.where + ")"
		w.args = append(classes, w.args...)
	}
	return w, nil
}

// byKeys is the way to the rows of some keys.
func (f *search) byKeys(keys []uint64) way {
	keys = slices.DeleteFunc(keys, func(k uint64) bool { return k < f.from || k >= f.below })
	slices.Sort(keys)
	slices.Reverse(keys)
	return way{keys: keys, known: true}
}

// fit makes the condition one for the slice as it is: with the index for classes where it has one, and with the term of
// the query where its keys are not known.
func (w *way) fit(r *reader, q *audit.Query) {
	if w.class && r.indexed {
		w.index = " INDEXED BY by_n"
	}
	term, hashes := r.hasher.Search(q)
	if w.known || len(hashes) == 0 {
		return
	}
	w.index = ""
	w.forward = true
	w.where = columns[term] + " IN (?" + strings.Repeat(",?", len(hashes)-1) + ") AND " + w.where
	var args []any
	for _, h := range hashes {
		args = append(args, column(h))
	}
	w.args = append(args, w.args...)
}

func (s *session) walk(w way, filter *audit.Filter, f func(uint64, audit.Event) bool) error {
	_, err := s.walkUntil(w, filter, f)
	return err
}

// walkUntil calls f with the events that pass the filter, until f has enough. Where it gets too late before, it gives
// the key of the last row that was looked at.
func (s *session) walkUntil(w way, filter *audit.Filter, f func(uint64, audit.Event) bool) (uint64, error) {
	if w.known {
		return 0, s.visit(w.keys, filter, f)
	}
	rows, err := s.conn.QueryContext(s.ctx, "SELECT k, d FROM rows"+w.index+" WHERE "+w.where+w.order, w.args...)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	var k int64
	var data sql.RawBytes
	for n := 1; rows.Next(); n++ {
		if err := rows.Scan(&k, &data); err != nil {
			return 0, err
		}
		if !s.offer(uint64(k), data, filter, f) {
			return 0, nil
		}
		if n%1024 == 0 && w.late() {
			return uint64(k), nil
		}
	}
	return 0, rows.Err()
}

// offer shows a row to f where it passes the filter; false where f has enough.
func (s *session) offer(k uint64, data []byte, filter *audit.Filter, f func(uint64, audit.Event) bool) bool {
	if !filter.Row(data) {
		return true
	}
	e, err := s.unpack(data)
	return err != nil || !filter.Event(&e) || f(k, e)
}

// visit reads rows one by one.
func (s *session) visit(keys []uint64, filter *audit.Filter, f func(uint64, audit.Event) bool) error {
	statement, err := s.conn.PrepareContext(s.ctx, "SELECT d FROM rows WHERE k = ?")
	if err != nil {
		return err
	}
	defer statement.Close()
	for _, k := range keys {
		var data []byte
		err := statement.QueryRowContext(s.ctx, int64(k)).Scan(&data)
		if err == sql.ErrNoRows { // erased
			continue
		}
		if err != nil {
			return err
		}
		if !s.offer(k, data, filter, f) {
			return nil
		}
	}
	return nil
}

// classesOf is the classes that all rows asked for are of; none where they may be of any.
func classesOf(q *audit.Query) []any {
	if q.Kind != "" && q.Kind != audit.Decision {
		return []any{classOther}
	}
	var class int64
	switch {
	case q.Verdict == audit.Deny:
		class = classDeny
	case q.Verdict == audit.Unavailable:
		class = classUnavailable
	case q.Verdict == "" && q.Reason != "" && q.Kind == audit.Decision:
		class = classDeny
		if q.Reason.Info().Unavailable {
			class = classUnavailable
		}
	default:
		return nil
	}
	if q.Kind == "" { // a refused caller is no decision, but has a verdict
		return []any{class, classOther}
	}
	return []any{class}
}
