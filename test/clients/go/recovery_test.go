package clients

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
	watchtools "k8s.io/client-go/tools/watch"
)

// line is a connection to the cluster that can be cut, and be dead for a while.
type line struct {
	address string
	lock    sync.Mutex
	dead    bool
	open    []net.Conn
}

// lineTo listens on the loopback interface and passes on what comes to the server of config.
func lineTo(t *testing.T, config *rest.Config) *line {
	t.Helper()
	server := must[*url.URL](t)(url.Parse(config.Host))
	listener := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	l := &line{address: listener.Addr().String()}
	t.Cleanup(func() { listener.Close(); l.cut(true) })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			upstream, err := net.Dial("tcp", server.Host)
			if err != nil {
				client.Close()
				continue
			}
			l.lock.Lock()
			if l.dead {
				client.Close()
				upstream.Close()
			} else {
				l.open = append(l.open, client, upstream)
				go func() { _, _ = io.Copy(upstream, client); upstream.Close() }()
				go func() { _, _ = io.Copy(client, upstream); client.Close() }()
			}
			l.lock.Unlock()
		}
	}()
	return l
}

// cut ends all connections. A dead line takes none until it is cut again, alive.
func (l *line) cut(dead bool) {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.dead = dead
	for _, one := range l.open {
		one.Close()
	}
	l.open = nil
}

// over is the same cluster, reached over the line.
func over(l *line, config *rest.Config) *rest.Config {
	other := rest.CopyConfig(config)
	server, _ := url.Parse(config.Host)
	other.TLSClientConfig.ServerName = server.Hostname()
	other.Host = "https://" + l.address
	return other
}

// An informer whose connection breaks again and again, at last for so long that its version is forgotten, has everything in the end.
func TestInformerOutlivesBrokenLines(t *testing.T) {
	ctx, client, namespace, _ := clientsOf(t)
	config, notes := configOf(t)
	l := lineTo(t, config)
	far := must[*kubernetes.Clientset](t)(kubernetes.NewForConfig(over(l, config)))
	maps := client.CoreV1().ConfigMaps(namespace)
	factory := informers.NewSharedInformerFactoryWithOptions(far, 0, informers.WithNamespace(namespace))
	informer := factory.Core().V1().ConfigMaps()
	var lock sync.Mutex
	versions := map[string][]string{}
	_, err := informer.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(object any) {
			lock.Lock()
			defer lock.Unlock()
			one := object.(*corev1.ConfigMap)
			versions[one.Name] = append(versions[one.Name], one.Data["n"])
		},
		UpdateFunc: func(_, object any) {
			lock.Lock()
			defer lock.Unlock()
			one := object.(*corev1.ConfigMap)
			versions[one.Name] = append(versions[one.Name], one.Data["n"])
		},
	})
	check(t, err)
	run, stop := context.WithCancel(ctx)
	defer stop()
	factory.Start(run.Done())
	factory.WaitForCacheSync(run.Done())
	must[*corev1.ConfigMap](t)(maps.Create(ctx, configMap("counter", map[string]string{"n": "0"}), metav1.CreateOptions{}))
	for n := 1; n <= 5; n++ {
		must[*corev1.ConfigMap](t)(maps.Patch(ctx, "counter", types.MergePatchType, fmt.Appendf(nil, `{"data":{"n":"%d"}}`, n), metav1.PatchOptions{}))
		l.cut(false)
	}
	has := func(expected string) func() error {
		return func() error {
			found, err := informer.Lister().ConfigMaps(namespace).Get("counter")
			if err != nil {
				return err
			}
			return want("n", found.Data["n"], expected)
		}
	}
	eventually(t, "the informer has the last change", has("5"))
	// client-go lists anew where it could not even ask over a broken line, and then skips what lay between; it never goes back.
	// That a watch misses nothing is what TestRetryWatcher checks.
	lock.Lock()
	got := versions["counter"]
	if !slices.IsSorted(got) || len(got) == 0 || got[len(got)-1] != "5" {
		t.Errorf("versions %v: want them in order, with 5 at the end", got)
	}
	lock.Unlock()

	l.cut(true)
	var group sync.WaitGroup
	for writer := range 16 {
		group.Go(func() {
			name := fmt.Sprintf("churn-%d", writer)
			if _, err := maps.Create(ctx, configMap(name, nil), metav1.CreateOptions{}); err != nil {
				t.Error(err)
			}
			for n := range 400 {
				if _, err := maps.Patch(ctx, name, types.MergePatchType, fmt.Appendf(nil, `{"data":{"n":"%d"}}`, n), metav1.PatchOptions{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	check(t, maps.Delete(ctx, "churn-3", metav1.DeleteOptions{}))
	must[*corev1.ConfigMap](t)(maps.Patch(ctx, "counter", types.MergePatchType, []byte(`{"data":{"n":"6"}}`), metav1.PatchOptions{}))
	before := len(notes.find(func(one seen) bool { return true }))
	l.cut(false)
	eventually(t, "the informer has begun anew", has("6"))
	if _, err := informer.Lister().ConfigMaps(namespace).Get("churn-3"); err == nil {
		t.Fatal("what was deleted meanwhile is still there")
	}
	eventually(t, "the informer has the others", func() error {
		found, err := informer.Lister().ConfigMaps(namespace).Get("churn-5")
		if err != nil {
			return err
		}
		return want("n", found.Data["n"], "399")
	})
	if after := len(notes.find(func(one seen) bool { return true })); after == before {
		t.Fatal("the informer did not ask again")
	}
}

// A RetryWatcher goes on after each break, with every change once.
func TestRetryWatcher(t *testing.T) {
	ctx, client, namespace, _ := clientsOf(t)
	config, _ := configOf(t)
	l := lineTo(t, config)
	far := must[*kubernetes.Clientset](t)(kubernetes.NewForConfig(over(l, config)))
	maps := client.CoreV1().ConfigMaps(namespace)
	list := must[*corev1.ConfigMapList](t)(maps.List(ctx, metav1.ListOptions{}))
	watcher := must[*watchtools.RetryWatcher](t)(watchtools.NewRetryWatcherWithContext(ctx, list.ResourceVersion, &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return far.CoreV1().ConfigMaps(namespace).Watch(ctx, options)
		},
	}))
	defer watcher.Stop()
	for n := range 6 {
		name := fmt.Sprintf("map-%d", n)
		must[*corev1.ConfigMap](t)(maps.Create(ctx, configMap(name, nil), metav1.CreateOptions{}))
		for {
			select {
			case event := <-watcher.ResultChan():
				one, ok := event.Object.(*corev1.ConfigMap)
				if !ok {
					t.Fatalf("event %+v", event)
				}
				if !strings.HasPrefix(one.Name, "map-") {
					continue
				}
				check(t, want("event", fmt.Sprint(event.Type, " ", one.Name), "ADDED "+name))
			case <-time.After(patience):
				t.Fatalf("%s does not come", name)
			}
			break
		}
		l.cut(false)
	}
}

// Events as new controllers record them; what happens again is a series.
func TestEventsAreRecorded(t *testing.T) {
	ctx, client, namespace, _ := clientsOf(t)
	subject := must[*corev1.ConfigMap](t)(client.CoreV1().ConfigMaps(namespace).Create(ctx, configMap("subject", nil), metav1.CreateOptions{}))
	broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: client.EventsV1()})
	check(t, broadcaster.StartRecordingToSinkWithContext(ctx))
	defer broadcaster.Shutdown()
	recorder := broadcaster.NewRecorder(scheme.Scheme, "tester.example.com")
	recorder.Eventf(subject, nil, corev1.EventTypeNormal, "Tested", "Testing", "it was %s", "tested")
	var recorded eventsv1.Event
	find := func() error {
		list, err := client.EventsV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "regarding.name=subject,reason=Tested"})
		if err != nil {
			return err
		}
		if len(list.Items) != 1 {
			return fmt.Errorf("%d events", len(list.Items))
		}
		recorded = list.Items[0]
		return nil
	}
	eventually(t, "the event is there", find)
	check(t, want("note", recorded.Note, "it was tested"))
	check(t, want("controller", recorded.ReportingController, "tester.example.com"))
	check(t, want("regarding", recorded.Regarding.UID, subject.UID))
	check(t, want("time to the microsecond", recorded.EventTime.Nanosecond()%1000, 0))
	recorder.Eventf(subject, nil, corev1.EventTypeNormal, "Tested", "Testing", "it was %s", "tested")
	eventually(t, "it is a series", func() error {
		if err := find(); err != nil {
			return err
		}
		if recorded.Series == nil {
			return fmt.Errorf("no series")
		}
		return want("count", recorded.Series.Count, 2)
	})
	old := must[*corev1.EventList](t)(client.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=subject,reason=Tested"}))
	check(t, want("as core events", len(old.Items), 1))
	check(t, want("message", old.Items[0].Message, "it was tested"))
}
