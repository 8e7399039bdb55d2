package proc

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// Below the range from which Linux takes ports for outgoing connections, so that no other program's connection
// sits on a port between its choice here and its use.
const lowestPort, highestPort = 15000, 32000

// FreePorts finds n loopback TCP ports that nobody listens on.
func FreePorts(n int) ([]int, error) {
	var ports []int
	var held []net.Listener
	defer func() {
		for _, l := range held {
			l.Close()
		}
	}()
	for range 1000 {
		port := lowestPort + rand.IntN(highestPort-lowestPort)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		held, ports = append(held, l), append(ports, port)
		if len(ports) == n {
			return ports, nil
		}
	}
	return nil, errors.New("no free loopback ports found")
}
