package stamp

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// startTestCluster runs `fairlead test-cluster` until the test ends. FAIRLEAD names the program, if it is not in PATH.
func startTestCluster(t *testing.T) *rest.Config {
	t.Helper()
	program := exec.Command(cmp.Or(os.Getenv("FAIRLEAD"), "fairlead"), "test-cluster")
	program.Stderr = os.Stderr
	// The cluster ends when its standard input does: also when this process is killed.
	input, err := program.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := program.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		input.Close()
		_ = program.Wait()
	})
	line, err := bufio.NewReader(output).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var said struct{ Kubeconfig string }
	if err := json.Unmarshal(line, &said); err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", said.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func TestStamp(t *testing.T) {
	t.Parallel()
	client, err := kubernetes.NewForConfig(startTestCluster(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, client) }()
	maps := client.CoreV1().ConfigMaps("default")
	asks := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "a", Labels: map[string]string{"stamp": ""}}}
	if _, err := maps.Create(ctx, asks, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		got, err := maps.Get(ctx, "a", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got.Annotations["stamped"] == "yes" {
			break
		}
		if time.Now().After(until) {
			t.Fatal("it was not stamped")
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

// Each test has a cluster of its own.
func TestOthersAreLeftAlone(t *testing.T) {
	t.Parallel()
	client, err := kubernetes.NewForConfig(startTestCluster(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	maps := client.CoreV1().ConfigMaps("default")
	if _, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "b"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if got, err := maps.Get(ctx, "b", metav1.GetOptions{}); err != nil || len(got.Annotations) > 0 {
		t.Fatalf("%v %v", got, err)
	}
}
