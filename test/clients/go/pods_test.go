package clients

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	utilexec "k8s.io/client-go/util/exec"
)

func runningPod(t *testing.T, ctx context.Context, client kubernetes.Interface, namespace string) *corev1.Pod {
	t.Helper()
	pods := client.CoreV1().Pods(namespace)
	must[*corev1.Pod](t)(pods.Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "echo"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "echo", Image: "fairlead.dev/echo"}}},
	}, metav1.CreateOptions{}))
	var pod *corev1.Pod
	eventually(t, "the pod runs", func() error {
		got, err := pods.Get(ctx, "echo", metav1.GetOptions{})
		pod = got
		if err != nil {
			return err
		}
		return want("phase", got.Status.Phase, corev1.PodRunning)
	})
	return pod
}

// The two ways in which client-go reaches a process in a pod.
func executors(t *testing.T, config *rest.Config, client *kubernetes.Clientset, namespace string, options *corev1.PodExecOptions) map[string]remotecommand.Executor {
	t.Helper()
	url := client.CoreV1().RESTClient().Post().Resource("pods").Namespace(namespace).Name("echo").SubResource("exec").VersionedParams(options, scheme.ParameterCodec).URL()
	return map[string]remotecommand.Executor{
		"WebSocket": must[remotecommand.Executor](t)(remotecommand.NewWebSocketExecutor(config, "GET", url.String())),
		"SPDY":      must[remotecommand.Executor](t)(remotecommand.NewSPDYExecutor(config, "POST", url)),
	}
}

func TestExec(t *testing.T) {
	ctx, client, namespace, _ := clientsOf(t)
	config, _ := configOf(t)
	runningPod(t, ctx, client, namespace)
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	for name, executor := range executors(t, config, client, namespace, &corev1.PodExecOptions{
		Command: []string{"sh", "-c", "cat; echo told >&2; exit 3"}, Stdin: true, Stdout: true, Stderr: true,
	}) {
		t.Run(name, func(t *testing.T) {
			var out, err bytes.Buffer
			failure := executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: bytes.NewReader(sent), Stdout: &out, Stderr: &err})
			var exit utilexec.CodeExitError
			if !errors.As(failure, &exit) || exit.Code != 3 {
				t.Fatalf("ended with %v", failure)
			}
			check(t, want("bytes are the same", bytes.Equal(out.Bytes(), sent), true))
			check(t, want("stderr", strings.TrimSpace(err.String()), "told"))
		})
	}
}

func TestExecWithTerminal(t *testing.T) {
	ctx, client, namespace, _ := clientsOf(t)
	config, _ := configOf(t)
	runningPod(t, ctx, client, namespace)
	for name, executor := range executors(t, config, client, namespace, &corev1.PodExecOptions{
		Command: []string{"sh", "-c", "test -t 0 && echo a terminal; stty size"}, Stdin: true, Stdout: true, TTY: true,
	}) {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			sizes := &oneSize{size: &remotecommand.TerminalSize{Width: 123, Height: 45}}
			reader, writer := io.Pipe()
			defer writer.Close()
			check(t, executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: reader, Stdout: &out, Tty: true, TerminalSizeQueue: sizes}))
			if !strings.Contains(out.String(), "a terminal\r\n") {
				t.Fatalf("printed %q", out.String())
			}
		})
	}
}

type oneSize struct{ size *remotecommand.TerminalSize }

func (q *oneSize) Next() *remotecommand.TerminalSize {
	size := q.size
	q.size = nil
	return size
}

func TestPortForward(t *testing.T) {
	ctx, client, namespace, _ := clientsOf(t)
	config, _ := configOf(t)
	runningPod(t, ctx, client, namespace)
	eventually(t, "the pod answers", func() error {
		_, err := client.CoreV1().Pods(namespace).ProxyGet("http", "echo", "8080", "/", nil).DoRaw(ctx)
		return err
	})
	url := client.CoreV1().RESTClient().Post().Resource("pods").Namespace(namespace).Name("echo").SubResource("portforward").URL()
	transport, upgrader, err := spdy.RoundTripperFor(config)
	check(t, err)
	overSpdy := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, "POST", url)
	overWebSocket, err := portforward.NewSPDYOverWebsocketDialer(url, config)
	check(t, err)
	for name, dialer := range map[string]interface {
		Dial(protocols ...string) (connection, string, error)
	}{"SPDY": overSpdy, "WebSocket": overWebSocket} {
		t.Run(name, func(t *testing.T) {
			stop, ready := make(chan struct{}), make(chan struct{})
			defer close(stop)
			forwarder, err := portforward.NewOnAddresses(dialer, []string{"127.0.0.1"}, []string{"0:8080"}, stop, ready, io.Discard, io.Discard)
			check(t, err)
			ended := make(chan error, 1)
			go func() { ended <- forwarder.ForwardPorts() }()
			select {
			case <-ready:
			case err := <-ended:
				t.Fatal(err)
			}
			ports, err := forwarder.GetPorts()
			check(t, err)
			for range 50 {
				response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", ports[0].Local))
				check(t, err)
				_, err = io.Copy(io.Discard, response.Body)
				check(t, err)
				response.Body.Close()
				check(t, want("status", response.StatusCode, 200))
			}
		})
	}
}

func TestLogs(t *testing.T) {
	ctx, client, namespace, _ := clientsOf(t)
	runningPod(t, ctx, client, namespace)
	eventually(t, "the log has a line", func() error {
		lines := int64(1)
		text, err := client.CoreV1().Pods(namespace).GetLogs("echo", &corev1.PodLogOptions{TailLines: &lines, Timestamps: true}).DoRaw(ctx)
		if err != nil {
			return err
		}
		return want("a line", strings.Count(string(text), "\n"), 1)
	})
}

func TestProxy(t *testing.T) {
	ctx, client, namespace, _ := clientsOf(t)
	runningPod(t, ctx, client, namespace)
	eventually(t, "an answer", func() error {
		_, err := client.CoreV1().Pods(namespace).ProxyGet("http", "echo", "8080", "/", nil).DoRaw(ctx)
		return err
	})
}
