// Command backend answers the benchmark's requests as cheaply as it can: what it costs, the load generator's core pays.
package main

import (
	"flag"
	"log"
	"net"
)

func main() {
	log.SetFlags(0)
	serve := map[string]func(net.Conn){"http1": http1, "http2": http2Backend, "tcp": tcp}
	addresses := map[string]*string{}
	for name := range serve {
		addresses[name] = flag.String(name, "", "address to serve "+name+" at")
	}
	flag.Parse()
	failed := make(chan error)
	for name, handle := range serve {
		listener, err := net.Listen("tcp", *addresses[name])
		if err != nil {
			log.Fatal("backend: ", err)
		}
		go func() { failed <- accept(listener, handle) }()
	}
	log.Fatal("backend: ", <-failed)
}

func accept(listener net.Listener, handle func(net.Conn)) error {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer func() { _ = conn.Close() }()
			handle(conn)
		}()
	}
}
