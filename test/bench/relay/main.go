// Command relay copies bytes between a client and one upstream, a connection each: the floor of what a proxy written in
// Go can cost.
package main

import (
	"flag"
	"log"
	"net"
)

// size of the buffer of each direction.
const size = 64 << 10

func main() {
	log.SetFlags(0)
	listen := flag.String("listen", "", "address to listen at")
	upstream := flag.String("upstream", "", "address to relay to")
	flag.Parse()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal("relay: ", err)
	}
	for {
		client, err := listener.Accept()
		if err != nil {
			log.Fatal("relay: ", err)
		}
		go relay(client, *upstream)
	}
}

func relay(client net.Conn, upstream string) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", upstream)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	done := make(chan struct{})
	go func() {
		pass(server, client)
		_ = server.Close()
		close(done)
	}()
	pass(client, server)
	_ = client.Close()
	<-done
}

// pass copies until one side ends. io.Copy would splice, which costs more for short messages.
func pass(to, from net.Conn) {
	buf := make([]byte, size)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
