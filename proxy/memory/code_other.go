//go:build !linux

package memory

// unmapCode does nothing here.
func unmapCode() {}
