package drain

import (
	"bufio"
	"io"
	"os"
	"strconv"
	"strings"
)

// States of sockets in /proc/net/tcp (linux/tcp_states.h).
const (
	stateEstablished = "01"
	stateListen      = "0A"
)

// OthersHaveSockets tells whether a process of another user listens or has a TCP connection in this network namespace,
// which in a pod means: the application is still there. When the kernel does not say, nobody is assumed.
func OthersHaveSockets(uid int) bool {
	for _, path := range [...]string{"/proc/net/tcp", "/proc/net/tcp6"} {
		file, err := os.Open(path)
		if err != nil {
			continue // no IPv6
		}
		found := othersIn(file, uid)
		_ = file.Close()
		if found {
			return true
		}
	}
	return false
}

// othersIn reads the table's lines: "sl local remote st tx:rx tr:when retrnsmt uid ...".
func othersIn(table io.Reader, uid int) bool {
	own := strconv.Itoa(uid)
	lines := bufio.NewScanner(table)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) > 7 && (fields[3] == stateEstablished || fields[3] == stateListen) && fields[7] != own {
			return true
		}
	}
	return false
}
