// The OpenTelemetry Collector's own receiver of OTLP: it says on standard output where it listens, and then a line of JSON for each message
// of spans that it has taken.
package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"

	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/receiver/receivertest"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	address := free.Addr().String()
	must(free.Close())

	take, err := consumer.NewTraces(func(_ context.Context, traces ptrace.Traces) error {
		line, err := (&ptrace.JSONMarshaler{}).MarshalTraces(traces)
		if err == nil {
			fmt.Println(string(line))
		}
		return err
	})
	must(err)
	factory := otlpreceiver.NewFactory()
	config := factory.CreateDefaultConfig()
	given := map[string]any{"protocols": map[string]any{"http": map[string]any{"endpoint": address}}}
	must(confmap.NewFromStringMap(given).Unmarshal(config))
	ctx := context.Background()
	receiver, err := factory.CreateTraces(ctx, receivertest.NewNopSettings(factory.Type()), config, take)
	must(err)
	must(receiver.Start(ctx, componenttest.NewNopHost()))
	fmt.Println("http://" + address)
	// Until whoever has started it goes.
	bufio.NewReader(os.Stdin).ReadString(0)
	must(receiver.Shutdown(ctx))
}
