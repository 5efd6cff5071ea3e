package main

import (
	"errors"
	"fmt"
	"net"
	"strings"
)

// ports are the listeners of one server.
type ports []net.Listener

// listenAll opens the addresses, all or none.
func listenAll(addresses []string) (ports, error) {
	var p ports
	for _, a := range addresses {
		l, err := listen(a)
		if err != nil {
			return nil, errors.Join(err, p.close())
		}
		p = append(p, l)
	}
	return p, nil
}

func listen(address string) (net.Listener, error) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return net.Listen("unix", path)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	if at, ok := l.Addr().(*net.TCPAddr); !ok || !at.IP.IsLoopback() {
		return nil, errors.Join(fmt.Errorf("%s is not an address of this machine alone", address), l.Close())
	}
	return l, nil
}

func (p ports) close() error {
	var all []error
	for _, l := range p {
		all = append(all, l.Close())
	}
	return errors.Join(all...)
}
