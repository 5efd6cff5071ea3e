package cluster

// Find gives the major version and the folder of the binaries that a new cluster would use; dirs replaces the search
// where it is not nil. The error says what to install.
func Find(dirs []string) (major int, dir string, err error) {
	b, err := choose(dirs, "")
	return b.major, b.dir, err
}
