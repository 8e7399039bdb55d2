package sqlitestore

import (
	"context"
	"database/sql"

	"github.com/usher-im/usher/internal/audit"
)

// session is one question's connection to a slice.
type session struct {
	*reader
	ctx  context.Context
	conn *sql.Conn
	word *sql.Stmt // looks a number up; made when first needed
}

func (r *reader) session(ctx context.Context) (*session, error) {
	c, err := r.db.Conn(ctx)
	return &session{reader: r, ctx: ctx, conn: c}, err
}

// close gives the connection back.
func (s *session) close() {
	if s.word != nil {
		s.word.Close()
	}
	s.conn.Close()
}

// text is what a number in a row stands for.
func (s *session) text(number uint64) ([]byte, bool) {
	s.mu.Lock()
	v, ok := s.texts[number]
	s.mu.Unlock()
	if ok {
		return v, true
	}
	if s.word == nil {
		var err error
		if s.word, err = s.conn.PrepareContext(s.ctx, "SELECT v FROM dict WHERE id = ?"); err != nil {
			return nil, false
		}
	}
	if s.word.QueryRowContext(s.ctx, int64(number)).Scan(&v) != nil {
		return nil, false
	}
	s.mu.Lock()
	s.texts[number] = v
	s.mu.Unlock()
	return v, true
}

// number is what stands for a text in rows; certain where its absence means that no row has it.
func (s *session) number(tag audit.Tag, text []byte) (n uint64, found, certain bool) {
	if !codes(tag, text) {
		return 0, false, false
	}
	var id int64
	if s.conn.QueryRowContext(s.ctx, "SELECT id FROM dict WHERE tag = ? AND v = ?", int64(tag), text).Scan(&id) != nil {
		return 0, false, s.coded
	}
	return uint64(id), true, s.coded
}

// unpack reads a row of the slice.
func (s *session) unpack(data []byte) (audit.Event, error) { return audit.UnpackCoded(data, s.text) }
