package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// plan is what the load generator's flags ask for.
type plan struct {
	url      string
	rate     int // requests per second
	inFlight int
	length   time.Duration // 0: until told to stop
	headers  http.Header
	host     string
	show     string
	every    time.Duration
}

func parsePlan(args []string, getenv func(string) string) (plan, error) {
	p := plan{headers: http.Header{}}
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.StringVar(&p.url, "url", "", "what to call; default: the Service named by TARGET")
	flags.IntVar(&p.rate, "rate", 20, "requests per second")
	flags.IntVar(&p.inFlight, "in-flight", 64, "most requests under way at a time; a slower answer lowers the rate")
	flags.DurationVar(&p.length, "for", 0, "how long; 0 means until stopped")
	flags.DurationVar(&p.every, "every", time.Second, "how often to print what came back")
	flags.StringVar(&p.show, "show", "", "count the versions of this service only")
	flags.Func("H", "header as name:value (repeatable)", func(s string) error {
		name, value, found := strings.Cut(s, ":")
		if !found {
			return errors.New("write it as name:value")
		}
		p.headers.Add(name, strings.TrimSpace(value))
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return p, err
	}
	if p.url == "" {
		p.host = cmp.Or(getenv("TARGET"), "frontend")
		p.url = "http://" + serviceAddress(p.host, getenv) + "/"
	}
	if p.rate < 1 || p.inFlight < 1 || p.every <= 0 {
		return p, errors.New("--rate and --in-flight must be at least 1, --every above 0")
	}
	return p, nil
}

// outcome is what came of one request.
type outcome struct {
	failure string // empty: the answer was 200
	answer  *Answer
}

// load calls at the planned rate and prints lines meanwhile and a total at the end. It fails if a request failed.
func load(ctx context.Context, args []string, getenv func(string) string, out io.Writer) error {
	p, err := parsePlan(args, getenv)
	if err != nil {
		return err
	}
	if p.length > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.length)
		defer cancel()
	}
	outcomes := make(chan outcome, p.inFlight)
	go func() {
		defer close(outcomes)
		p.send(ctx, outcomes)
	}()
	total := p.count(outcomes, out)
	fmt.Fprintf(out, "total %d requests, %d failed%s\n", total.requests, total.failed, total.details())
	if total.failed > 0 {
		return fmt.Errorf("%d of %d requests failed", total.failed, total.requests)
	}
	return nil
}

// send starts requests at the rate until ctx ends and returns when the last one is answered: stopping the load breaks none.
func (p plan) send(ctx context.Context, outcomes chan<- outcome) {
	client := &http.Client{
		Timeout:       10 * time.Second,
		Transport:     &http.Transport{MaxIdleConnsPerHost: p.inFlight, IdleConnTimeout: 30 * time.Second},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	var calls errgroup.Group
	calls.SetLimit(p.inFlight)
	ticks := time.NewTicker(time.Second / time.Duration(p.rate))
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			_ = calls.Wait() // the calls return no errors
			return
		case <-ticks.C:
			calls.Go(func() error {
				outcomes <- p.call(context.WithoutCancel(ctx), client)
				return nil
			})
		}
	}
}

func (p plan) call(ctx context.Context, client *http.Client) outcome {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
	if err != nil {
		return outcome{failure: err.Error()}
	}
	req.Header = p.headers.Clone()
	req.Host = p.host
	resp, err := client.Do(req)
	if err != nil {
		return outcome{failure: err.Error()}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return outcome{failure: "body: " + err.Error()}
	}
	if resp.StatusCode != http.StatusOK {
		return outcome{failure: resp.Status}
	}
	var answer Answer
	if json.Unmarshal(body, &answer) != nil {
		return outcome{}
	}
	return outcome{answer: &answer}
}

// count prints now and then what has come since the last time, and returns the sum.
func (p plan) count(outcomes <-chan outcome, out io.Writer) *tally {
	total, recent := newTally(), newTally()
	ticks := time.NewTicker(p.every)
	defer ticks.Stop()
	for {
		select {
		case o, open := <-outcomes:
			if !open {
				return total
			}
			total.add(o, p.show)
			recent.add(o, p.show)
		case now := <-ticks.C:
			fmt.Fprintf(out, "%s  %.0f/s  %d failed  (of %d: %d failed)%s\n", now.Format(time.TimeOnly),
				float64(recent.requests)/p.every.Seconds(), recent.failed, total.requests, total.failed, recent.details())
			recent = newTally()
		}
	}
}
