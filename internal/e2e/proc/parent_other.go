//go:build !linux

package proc

import "os/exec"

// Only Linux can tie a child's life to its parent's; elsewhere Stop alone ends it.
func dieWithParent(*exec.Cmd) {}
