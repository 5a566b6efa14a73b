//go:build !linux

package parquet

// renameNoReplace links the new name and removes the old one.
func renameNoReplace(src, dst string) error { return linkNoReplace(src, dst) }
