package sidecar

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
)

// ReadyLine is what a sidecar prints when traffic may come.
const ReadyLine = "ready"

// maxSpec bounds one line of orders, in bytes: a pod has a hundred bytes per port of each Service.
const maxSpec = 16 << 20

// Run is the process of one sidecar. The first line of in is its Spec, later ones change its addresses; it ends with in.
func Run(ctx context.Context, in io.Reader, out, logs io.Writer) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxSpec)
	spec, err := next(lines)
	if err != nil {
		return err
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(spec.LogLevel)); err != nil {
		return fmt.Errorf("log level of the sidecar's orders: %w", err)
	}
	s, err := New(spec, Options{
		Log:   slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: level})),
		Ready: func() { fmt.Fprintln(out, ReadyLine) },
	})
	if err != nil {
		return err
	}
	go func() {
		defer end()
		for {
			spec, err := next(lines)
			if err != nil {
				return // the parent is gone
			}
			if err := s.Update(spec); err != nil {
				fmt.Fprintln(logs, err)
			}
		}
	}()
	return s.Run(ctx)
}

func next(lines *bufio.Scanner) (spec Spec, err error) {
	if !lines.Scan() {
		if err = lines.Err(); err == nil {
			err = io.EOF
		}
		return spec, fmt.Errorf("orders of the sidecar: %w", err)
	}
	if err := json.Unmarshal(lines.Bytes(), &spec); err != nil {
		return spec, fmt.Errorf("orders of the sidecar: %w", err)
	}
	return spec, nil
}
