package main

import (
	"encoding/json"
	"io"

	"github.com/usher-im/usher/internal/audit"
)

// printJSON writes v as one line. A name in it can come from a token, and somebody may see the line on a terminal.
func printJSON(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(audit.EscapeJSON(nil, text), '\n'))
	return err
}

// printLines writes one line for each.
func printLines[T any](w io.Writer, all []T) error {
	for _, one := range all {
		if err := printJSON(w, one); err != nil {
			return err
		}
	}
	return nil
}
