package proc

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
)

// Below the range from which Linux takes ports for outgoing connections, so that no other program's connection
// sits on a port between its choice here and its use.
const lowestPort, highestPort = 15000, 32000

// reserved are sockets that this process keeps to its end: who has the UDP port of a number is the one who was given the TCP
// port. Tests of several packages run at once, and one would else find free what another is about to use.
var reserved struct {
	sync.Mutex
	sockets []net.PacketConn
}

func reserve(address string) bool {
	s, err := net.ListenPacket("udp", address)
	if err != nil {
		return false
	}
	reserved.Lock()
	defer reserved.Unlock()
	reserved.sockets = append(reserved.sockets, s)
	return true
}

// FreePorts finds n loopback TCP ports that nobody listens on, and that no other test is given.
func FreePorts(n int) ([]int, error) {
	var ports []int
	var held []*net.TCPListener
	defer func() {
		for _, l := range held {
			Release(l)
		}
	}()
	for range 1000 {
		port := lowestPort + rand.IntN(highestPort-lowestPort)
		address := fmt.Sprintf("127.0.0.1:%d", port)
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		if !reserve(address) {
			l.Close()
			continue
		}
		held, ports = append(held, l.(*net.TCPListener)), append(ports, port)
		if len(ports) == n {
			return ports, nil
		}
	}
	return nil, errors.New("no free loopback ports found")
}

// Release closes a listener whose address is about to be listened at again. A process that another test starts at that moment
// has the socket too until it becomes its own program: shut down, it keeps the address from nobody.
func Release(l *net.TCPListener) {
	if socket, err := l.SyscallConn(); err == nil {
		_ = socket.Control(func(fd uintptr) { _ = syscall.Shutdown(int(fd), syscall.SHUT_RD) })
	}
	l.Close()
}
