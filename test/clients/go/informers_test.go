package clients

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	watchtools "k8s.io/client-go/tools/watch"
)

// An informer lists by a watch (WatchList), as client-go does by default, and follows every change.
func TestInformerFollows(t *testing.T) {
	ctx, client, namespace, notes := clientsOf(t)
	maps := client.CoreV1().ConfigMaps(namespace)
	for n := range 20 {
		must[*corev1.ConfigMap](t)(maps.Create(ctx, configMap(fmt.Sprintf("before-%d", n), nil), metav1.CreateOptions{}))
	}
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(namespace))
	informer := factory.Core().V1().ConfigMaps()
	var added, updated, deleted atomic.Int32
	_, err := informer.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { added.Add(1) },
		UpdateFunc: func(any, any) { updated.Add(1) },
		DeleteFunc: func(any) { deleted.Add(1) },
	})
	check(t, err)
	run, stop := context.WithCancel(ctx)
	defer stop()
	factory.Start(run.Done())
	for kind, synced := range factory.WaitForCacheSync(run.Done()) {
		check(t, want(kind.String(), synced, true))
	}
	there := int32(len(informer.Informer().GetStore().List()))
	if there < 20 {
		t.Fatalf("%d objects after the sync", there)
	}
	for n := range 5 {
		must[*corev1.ConfigMap](t)(maps.Create(ctx, configMap(fmt.Sprintf("after-%d", n), nil), metav1.CreateOptions{}))
	}
	must[*corev1.ConfigMap](t)(maps.Patch(ctx, "after-0", types.MergePatchType, []byte(`{"data":{"a":"b"}}`), metav1.PatchOptions{}))
	check(t, maps.Delete(ctx, "after-1", metav1.DeleteOptions{}))
	eventually(t, "the informer has it all", func() error {
		return want("events", []int32{added.Load(), updated.Load(), deleted.Load()}, []int32{there + 5, 1, 1})
	})
	lists := notes.find(func(one seen) bool {
		return one.method == "GET" && strings.Contains(one.url, "/configmaps?") && !strings.Contains(one.url, "watch=true")
	})
	streams := notes.find(func(one seen) bool { return strings.Contains(one.url, "sendInitialEvents=true") && one.status == 200 })
	if len(lists) > 0 || len(streams) == 0 {
		t.Fatalf("the informer did not list by a watch: %+v %+v", lists, streams)
	}
}

// A version that is too old is told so, and a reflector reads again.
func TestOldVersionsExpire(t *testing.T) {
	ctx, client, namespace, _ := clientsOf(t)
	maps := client.CoreV1().ConfigMaps(namespace)
	first := must[*corev1.ConfigMap](t)(maps.Create(ctx, configMap("churn", nil), metav1.CreateOptions{}))
	// More changes than any cache remembers.
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
	stream, err := maps.Watch(ctx, metav1.ListOptions{ResourceVersion: first.ResourceVersion})
	if err == nil {
		defer stream.Stop()
		select {
		case event := <-stream.ResultChan():
			check(t, want("event", event.Type, watch.Error))
			err = apierrors.FromObject(event.Object)
		case <-time.After(patience):
			t.Fatal("the watch says nothing")
		}
	}
	check(t, want("expired", apierrors.IsResourceExpired(err) || apierrors.IsGone(err), true))
	// What controllers do about it.
	list := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtimeObject, error) {
			return maps.List(ctx, options)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return maps.Watch(ctx, options)
		},
	}
	found, err := watchtools.UntilWithSync(ctx, list, &corev1.ConfigMap{}, nil, func(event watch.Event) (bool, error) {
		one, ok := event.Object.(*corev1.ConfigMap)
		return ok && one.Name == "churn-0" && one.Data["n"] == "399", nil
	})
	check(t, err)
	check(t, want("event", found.Type, watch.Added))
}

func TestBookmarksCome(t *testing.T) {
	ctx, client, namespace, _ := clientsOf(t)
	seconds := int64(3)
	stream := must[watch.Interface](t)(client.CoreV1().ConfigMaps(namespace).Watch(ctx, metav1.ListOptions{AllowWatchBookmarks: true, TimeoutSeconds: &seconds}))
	var last watch.Event
	for event := range stream.ResultChan() {
		last = event
	}
	// One comes just before the server ends the watch.
	check(t, want("last event", last.Type, watch.Bookmark))
}

func TestOneLeads(t *testing.T) {
	ctx, client, namespace, _ := clientsOf(t)
	leads := make(chan string, 4)
	elect := func(id string) (context.CancelFunc, chan struct{}) {
		run, stop := context.WithCancel(ctx)
		ended := make(chan struct{})
		lock := &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: namespace, Name: "leader"},
			Client:     client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: id},
		}
		go func() {
			defer close(ended)
			leaderelection.RunOrDie(run, leaderelection.LeaderElectionConfig{
				Lock: lock, ReleaseOnCancel: true, LeaseDuration: 3 * time.Second, RenewDeadline: 2 * time.Second, RetryPeriod: 200 * time.Millisecond,
				Callbacks: leaderelection.LeaderCallbacks{OnStartedLeading: func(context.Context) { leads <- id }, OnStoppedLeading: func() {}},
			})
		}()
		return stop, ended
	}
	stopFirst, firstEnded := elect("first")
	check(t, want("leader", <-leads, "first"))
	stopSecond, secondEnded := elect("second")
	select {
	case id := <-leads:
		t.Fatalf("%s leads too", id)
	case <-time.After(time.Second):
	}
	stopFirst()
	<-firstEnded
	check(t, want("leader", <-leads, "second"))
	stopSecond()
	<-secondEnded
}

func widgets(group string) *apiextensionsv1.CustomResourceDefinition {
	preserve := true
	return &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "widgets." + group},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: group, Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: "widgets", Singular: "widget", Kind: "Widget", ListKind: "WidgetList"},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1", Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{
					Type: "object", Properties: map[string]apiextensionsv1.JSONSchemaProps{"spec": {Type: "object", XPreserveUnknownFields: &preserve}},
				}},
			}},
		},
	}
}

// A definition, and at once objects of it: by the dynamic client, its informers, and the mapper that controllers use.
func TestDynamicClient(t *testing.T) {
	ctx, client, namespace, _ := clientsOf(t)
	config, _ := configOf(t)
	definitions := must[*apiextensions.Clientset](t)(apiextensions.NewForConfig(config))
	group := namespace + ".example.com"
	must[*apiextensionsv1.CustomResourceDefinition](t)(definitions.ApiextensionsV1().CustomResourceDefinitions().Create(ctx, widgets(group), metav1.CreateOptions{}))
	defer func() {
		_ = definitions.ApiextensionsV1().CustomResourceDefinitions().Delete(context.Background(), "widgets."+group, metav1.DeleteOptions{})
	}()
	eventually(t, "the definition is established", func() error {
		got, err := definitions.ApiextensionsV1().CustomResourceDefinitions().Get(ctx, "widgets."+group, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, condition := range got.Status.Conditions {
			if condition.Type == apiextensionsv1.Established && condition.Status == apiextensionsv1.ConditionTrue {
				return nil
			}
		}
		return fmt.Errorf("conditions are %+v", got.Status.Conditions)
	})
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client.Discovery()))
	mapping, err := mapper.RESTMapping(schema.GroupKind{Group: group, Kind: "Widget"})
	check(t, err)
	things := must[*dynamic.DynamicClient](t)(dynamic.NewForConfig(config))
	factory := dynamicinformer.NewFilteredDynamicSharedInformerFactory(things, 0, namespace, nil)
	informer := factory.ForResource(mapping.Resource)
	var added atomic.Int32
	_, err = informer.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: func(any) { added.Add(1) }})
	check(t, err)
	run, stop := context.WithCancel(ctx)
	defer stop()
	factory.Start(run.Done())
	factory.WaitForCacheSync(run.Done())
	widget := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": group + "/v1", "kind": "Widget", "metadata": map[string]any{"name": "one"},
		"spec": map[string]any{"size": int64(9007199254740991), "ratio": 0.5, "none": nil},
	}}
	made := must[*unstructured.Unstructured](t)(things.Resource(mapping.Resource).Namespace(namespace).Create(ctx, widget, metav1.CreateOptions{}))
	size, _, err := unstructured.NestedInt64(made.Object, "spec", "size")
	check(t, err)
	check(t, want("size", size, int64(9007199254740991)))
	eventually(t, "the informer has it", func() error { return want("added", added.Load(), 1) })
	applied := must[*unstructured.Unstructured](t)(things.Resource(mapping.Resource).Namespace(namespace).Apply(ctx, "one",
		&unstructured.Unstructured{Object: map[string]any{
			"apiVersion": group + "/v1", "kind": "Widget", "metadata": map[string]any{"name": "one"}, "spec": map[string]any{"colour": "red"},
		}}, metav1.ApplyOptions{FieldManager: "painter"}))
	check(t, want("managers", len(applied.GetManagedFields()), 2))
}

// Metadata-only clients: what garbage collectors and controller-runtime's metadata caches use.
func TestMetadataClient(t *testing.T) {
	ctx, client, namespace, _ := clientsOf(t)
	config, _ := configOf(t)
	must[*corev1.ConfigMap](t)(client.CoreV1().ConfigMaps(namespace).Create(ctx, configMap("a", map[string]string{"big": strings.Repeat("x", 1000)}), metav1.CreateOptions{}))
	things := must[metadata.Interface](t)(metadata.NewForConfig(config))
	maps := schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	got := must[*metav1.PartialObjectMetadata](t)(things.Resource(maps).Namespace(namespace).Get(ctx, "a", metav1.GetOptions{}))
	check(t, want("name", got.Name, "a"))
	factory := metadatainformer.NewFilteredSharedInformerFactory(things, 0, namespace, nil)
	informer := factory.ForResource(maps)
	informer.Informer()
	run, stop := context.WithCancel(ctx)
	defer stop()
	factory.Start(run.Done())
	factory.WaitForCacheSync(run.Done())
	must[*metav1.PartialObjectMetadata](t)(things.Resource(maps).Namespace(namespace).Patch(ctx, "a", types.MergePatchType, []byte(`{"metadata":{"labels":{"seen":"yes"}}}`), metav1.PatchOptions{}))
	eventually(t, "the label is seen", func() error {
		object, err := informer.Lister().ByNamespace(namespace).Get("a")
		if err != nil {
			return err
		}
		return want("label", object.(*metav1.PartialObjectMetadata).Labels["seen"], "yes")
	})
}

func TestDiscovery(t *testing.T) {
	_, client, _, notes := clientsOf(t)
	groups, lists, err := client.Discovery().ServerGroupsAndResources()
	check(t, err)
	if len(groups) < 10 || len(lists) < 10 {
		t.Fatalf("%d groups, %d lists", len(groups), len(lists))
	}
	if asked := notes.find(func(one seen) bool { return strings.HasPrefix(one.url, "") && one.method == "GET" }); len(asked) > 3 {
		t.Fatalf("discovery took %d requests", len(asked))
	}
	preferred, err := discovery.ServerPreferredResources(client.Discovery())
	check(t, err)
	check(t, want("preferred", len(preferred) > 0, true))
	document, err := client.Discovery().OpenAPISchema()
	check(t, err)
	if len(document.GetDefinitions().GetAdditionalProperties()) < 100 {
		t.Fatal("the OpenAPI v2 document has few definitions")
	}
	paths, err := client.Discovery().OpenAPIV3().Paths()
	check(t, err)
	text, err := paths["apis/apps/v1"].Schema("application/json")
	check(t, err)
	var parsed struct {
		Components struct{ Schemas map[string]any }
	}
	check(t, json.Unmarshal(text, &parsed))
	if parsed.Components.Schemas["io.k8s.api.apps.v1.Deployment"] == nil {
		t.Fatal("no Deployment in the OpenAPI v3 document")
	}
	version, err := client.Discovery().ServerVersion()
	check(t, err)
	check(t, want("major", version.Major, "1"))
}
