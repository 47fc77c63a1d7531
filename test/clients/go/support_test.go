// Package clients drives a cluster with the Go libraries that controllers are made of, with their default settings.
// The cluster is the one that KUBECONFIG names.
package clients

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// patience is how long anything may take that the cluster does by itself.
const patience = 60 * time.Second

// seen is what a client asked and was answered, as far as tests look at it.
type seen struct {
	method, url, accept, sent, answered string
	status                              int
}

// recorder notes each exchange of the clients of one configuration.
type recorder struct {
	lock sync.Mutex
	all  []seen
}

// noting is a transport whose exchanges are noted.
type noting struct {
	*recorder
	next http.RoundTripper
}

func (n noting) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := n.next.RoundTrip(request)
	one := seen{
		method: request.Method,
		url:    request.URL.String(),
		accept: request.Header.Get("Accept"),
		sent:   request.Header.Get("Content-Type"),
	}
	if err == nil {
		one.answered, one.status = response.Header.Get("Content-Type"), response.StatusCode
	}
	n.lock.Lock()
	defer n.lock.Unlock()
	n.all = append(n.all, one)
	return response, err
}

func (r *recorder) find(match func(seen) bool) []seen {
	r.lock.Lock()
	defer r.lock.Unlock()
	var found []seen
	for _, one := range r.all {
		if match(one) {
			found = append(found, one)
		}
	}
	return found
}

// configOf is the configuration a user's program would load; what it asks is noted.
func configOf(t *testing.T) (*rest.Config, *recorder) {
	t.Helper()
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		clientcmd.NewDefaultClientConfigLoadingRules(), &clientcmd.ConfigOverrides{}).ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	// The limits that a client sets itself would only make the tests slow.
	config.QPS, config.Burst = -1, -1
	notes := &recorder{}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return noting{notes, next} })
	return config, notes
}

// clientsOf gives a typed client, and a namespace that goes with the test.
func clientsOf(t *testing.T) (context.Context, *kubernetes.Clientset, string, *recorder) {
	t.Helper()
	config, notes := configOf(t)
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	t.Cleanup(cancel)
	return ctx, client, namespaceOf(t, ctx, client), notes
}

func namespaceOf(t *testing.T, ctx context.Context, client kubernetes.Interface) string {
	t.Helper()
	namespace, err := client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-")) + "-"},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = client.CoreV1().Namespaces().Delete(context.Background(), namespace.Name, metav1.DeleteOptions{})
	})
	return namespace.Name
}

// eventually asks until probe is satisfied; its error says what is missing.
func eventually(t *testing.T, what string, probe func() error) {
	t.Helper()
	until := time.Now().Add(patience)
	for {
		err := probe()
		if err == nil {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func must[T any](t *testing.T) func(value T, err error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func configMap(name string, data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data}
}

func want(what string, got, expected any) error {
	if fmt.Sprint(got) == fmt.Sprint(expected) {
		return nil
	}
	return fmt.Errorf("%s is %v, expected %v", what, got, expected)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
