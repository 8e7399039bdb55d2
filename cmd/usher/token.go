package main

import (
	"fmt"
	"io"
	"os"
	"strings"
)

type tokenCmd struct {
	Mint    tokenMintCmd    `cmd:"" help:"Mint a test token; every claim by flag."`
	Explain tokenExplainCmd `cmd:"" help:"Run every check on a token and show each with its verdict."`
}

// tokenInput is where a token comes from. Never an argument: arguments are seen by every user of the machine.
type tokenInput struct {
	TokenFile string `help:"File that holds the token; else it is read from stdin." placeholder:"FILE" type:"path"`
}

// maxInput bounds what is read as a token; more would be refused anyway.
const maxInput = 1 << 20

func (t *tokenInput) read(s streams) (string, error) {
	from, name := s.in, "stdin"
	if t.TokenFile != "" {
		f, err := os.Open(t.TokenFile)
		if err != nil {
			return "", usage("the token cannot be read: %w", err)
		}
		defer f.Close()
		from, name = f, t.TokenFile
	}
	b, err := io.ReadAll(io.LimitReader(from, maxInput))
	if err != nil {
		return "", fmt.Errorf("the token cannot be read from %s: %w", name, err)
	}
	raw := strings.TrimSpace(string(b))
	if raw == "" {
		return "", usage("there is no token on %s: put one there", name)
	}
	return raw, nil
}
