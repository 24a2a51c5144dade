package xdsclient

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// maxResponse bounds one message; the server fills responses up to 1 MiB, and one resource can be larger.
const maxResponse = 64 << 20

// Run keeps a stream to the control plane until ctx ends, which is also its error. What was received stays in effect
// whatever happens to the stream.
func (c *Client) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if c.o.CacheFile != "" {
		wg.Go(func() { c.saver(ctx) })
	}
	impatient := time.AfterFunc(patience, c.restore)
	defer impatient.Stop()
	for n := 1; ; n++ {
		c.stats.attempts.Add(1)
		admitted, err := c.stream(ctx)
		if admitted {
			n = 1
		}
		c.lost()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.restore()
		wait := c.o.Backoff(n)
		c.log.Info("no stream to the control plane: the configuration in effect stays", "error", err, "retry_in", wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (c *Client) lost() {
	c.stats.connected.Store(false)
	c.mu.Lock()
	c.machine.disconnect()
	c.mu.Unlock()
	c.news()
}

// stream serves one stream to its end. It tells whether the control plane let this proxy in.
func (c *Client) stream(ctx context.Context) (admitted bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	conn, err := c.o.Connect(ctx)
	if err != nil {
		return false, fmt.Errorf("connect to the control plane: %w", err)
	}
	defer conn.Close()
	desc := &grpc.StreamDesc{StreamName: "DeltaAggregatedResources", ServerStreams: true, ClientStreams: true}
	s, err := conn.NewStream(ctx, desc, method, grpc.ForceCodecV2(codec{}), grpc.MaxCallRecvMsgSize(maxResponse))
	if err != nil {
		return false, fmt.Errorf("open stream to the control plane: %w", err)
	}
	c.mu.Lock()
	c.machine.connect()
	c.mu.Unlock()
	notify(c.send)
	wg.Go(func() { c.sender(ctx, s) })
	// The headers come when the control plane knows who this is; a stream that ends before has none.
	if md, err := s.Header(); err != nil || md == nil {
		return false, errors.Join(err, s.RecvMsg(&frame{}))
	}
	c.stats.connected.Store(true)
	c.news()
	c.log.Info("connected to the control plane")
	for {
		var f frame
		if err := s.RecvMsg(&f); err != nil {
			return true, fmt.Errorf("receive from the control plane: %w", err)
		}
		if err := c.receive(f.bytes); err != nil {
			return true, err
		}
	}
}

func (c *Client) receive(b []byte) error {
	r, err := parseResponse(b)
	if err != nil {
		return err
	}
	c.stats.received(r.Type, len(b))
	c.mu.Lock()
	nacks := c.machine.nacks
	c.machine.receive(r)
	refused := ""
	if c.machine.nacks != nacks {
		refused = c.machine.answers[len(c.machine.answers)-1].Refused
	}
	c.mu.Unlock()
	if refused != "" {
		c.log.Warn("configuration refused: its predecessor stays in effect", "type", r.Type, "reason", refused)
	}
	c.news()
	return nil
}

// sender writes requests until the stream's context ends. If sending fails, receiving fails with the reason.
func (c *Client) sender(ctx context.Context, s grpc.ClientStream) {
	for {
		select {
		case <-c.send:
		case <-ctx.Done():
			return
		}
		c.mu.Lock()
		requests := c.machine.requests()
		c.mu.Unlock()
		for _, r := range requests {
			if err := s.SendMsg(&frame{r.marshal()}); err != nil {
				return
			}
		}
	}
}

// restore takes the cache file if nothing came from the control plane yet.
func (c *Client) restore() {
	if c.o.CacheFile == "" || c.stats.updates.Load() > 0 {
		return
	}
	resources, err := load(c.o.CacheFile)
	if err != nil {
		c.log.Warn("cannot use the configuration kept on disk", "file", c.o.CacheFile, "error", err)
		return
	}
	if len(resources) == 0 {
		return
	}
	c.mu.Lock()
	err = c.machine.restore(resources)
	destinations := len(c.machine.wanted)
	c.mu.Unlock()
	c.log.Info("using the configuration kept on disk until the control plane answers", "file", c.o.CacheFile,
		"destinations", destinations, "not_used", err)
	c.news()
}

// saveEvery bounds how often the cache file is written.
const saveEvery = time.Second

// saver writes the cache file some time after a change, until ctx ends.
func (c *Client) saver(ctx context.Context) {
	for {
		select {
		case <-c.save:
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(saveEvery):
		case <-ctx.Done():
		}
		c.mu.Lock()
		resources := c.machine.resources()
		c.mu.Unlock()
		if err := store(c.o.CacheFile, resources); err != nil {
			c.log.Warn("cannot keep the configuration on disk", "file", c.o.CacheFile, "error", err)
		}
	}
}

// DialOptions are settings for the connections that Options.Connect makes. A control plane that vanished without a word is
// noticed within 40 s: the client alone has nothing to say on an idle stream.
func DialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.WithDisableServiceConfig(),
		grpc.WithUserAgent("leno-proxy"),
	}
}
