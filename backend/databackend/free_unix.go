//go:build linux || darwin

package databackend

import "syscall"

// FreeBytes is how much an ordinary process can still write to the file system of dir.
func FreeBytes(dir string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}
