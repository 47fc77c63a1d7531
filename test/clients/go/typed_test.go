package clients

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1apply "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/tools/pager"
	"k8s.io/client-go/util/retry"
)

// A typed client speaks protobuf by default: both ways, and in watches.
func TestProtobufIsSpoken(t *testing.T) {
	ctx, client, namespace, notes := clientsOf(t)
	maps := client.CoreV1().ConfigMaps(namespace)
	made := must[*corev1.ConfigMap](t)(maps.Create(ctx, configMap("a", map[string]string{"key": "värde\x00\u2028"}), metav1.CreateOptions{}))
	check(t, want("data", made.Data["key"], "värde\x00\u2028"))
	watch := must[interface{ Stop() }](t)(maps.Watch(ctx, metav1.ListOptions{}))
	watch.Stop()
	must[*corev1.ConfigMapList](t)(maps.List(ctx, metav1.ListOptions{}))
	plain := notes.find(func(one seen) bool {
		return strings.Contains(one.url, "/configmaps") && !strings.HasPrefix(one.answered, "application/vnd.kubernetes.protobuf")
	})
	if len(plain) > 0 {
		t.Fatalf("not answered in protobuf: %+v", plain)
	}
	sent := notes.find(func(one seen) bool { return one.method == "POST" && one.sent == "application/vnd.kubernetes.protobuf" })
	if len(sent) == 0 {
		t.Fatal("the client did not send protobuf")
	}
}

// What is sent comes back the same, for objects that use many field types.
func TestObjectsComeBackTheSame(t *testing.T) {
	ctx, client, namespace, _ := clientsOf(t)
	port := intstr.FromString("web")
	unavailable := intstr.FromString("25%")
	deployment := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "app", Labels: map[string]string{"app": "app"}},
		Spec: appsv1.DeploymentSpec{
			Replicas: new(int32),
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "app"}},
			Strategy: appsv1.DeploymentStrategy{
				Type:          appsv1.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDeployment{MaxUnavailable: &unavailable},
			},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "app"}},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{
					Name: "echo", Image: "fairlead.dev/echo",
					Ports:          []corev1.ContainerPort{{Name: "web", ContainerPort: 8080}},
					ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/", Port: port}}},
				}}},
			},
		},
	}
	made := must[*appsv1.Deployment](t)(client.AppsV1().Deployments(namespace).Create(ctx, deployment, metav1.CreateOptions{}))
	got := must[*appsv1.Deployment](t)(client.AppsV1().Deployments(namespace).Get(ctx, "app", metav1.GetOptions{}))
	check(t, want("replicas", *got.Spec.Replicas, 0))
	check(t, want("maxUnavailable", got.Spec.Strategy.RollingUpdate.MaxUnavailable, "25%"))
	check(t, want("probe port", got.Spec.Template.Spec.Containers[0].ReadinessProbe.HTTPGet.Port.String(), "web"))
	check(t, want("uid", got.UID, made.UID))
	if made.Spec.ProgressDeadlineSeconds == nil || *made.Spec.ProgressDeadlineSeconds != 600 {
		t.Fatalf("default missing: %v", made.Spec.ProgressDeadlineSeconds)
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}, Data: map[string][]byte{"b": {0, 1, 255}}, StringData: map[string]string{"t": "text"}}
	kept := must[*corev1.Secret](t)(client.CoreV1().Secrets(namespace).Create(ctx, secret, metav1.CreateOptions{}))
	check(t, want("bytes", kept.Data["b"], []byte{0, 1, 255}))
	check(t, want("text", string(kept.Data["t"]), "text"))
}

// Many writers of one object: each change is kept, by the client's own retries.
func TestConflictsAreResolvedByRetry(t *testing.T) {
	ctx, client, namespace, _ := clientsOf(t)
	maps := client.CoreV1().ConfigMaps(namespace)
	must[*corev1.ConfigMap](t)(maps.Create(ctx, configMap("counter", nil), metav1.CreateOptions{}))
	var group sync.WaitGroup
	failed := make(chan error, 16)
	for writer := range 16 {
		group.Go(func() {
			backoff := retry.DefaultRetry
			backoff.Steps = 100
			err := retry.RetryOnConflict(backoff, func() error {
				current, err := maps.Get(ctx, "counter", metav1.GetOptions{})
				if err != nil {
					return err
				}
				if current.Data == nil {
					current.Data = map[string]string{}
				}
				current.Data[fmt.Sprint(writer)] = "done"
				_, err = maps.Update(ctx, current, metav1.UpdateOptions{})
				return err
			})
			if err != nil {
				failed <- err
			}
		})
	}
	group.Wait()
	close(failed)
	for err := range failed {
		t.Fatal(err)
	}
	got := must[*corev1.ConfigMap](t)(maps.Get(ctx, "counter", metav1.GetOptions{}))
	check(t, want("writers", len(got.Data), 16))
}

func TestErrorsHaveTheirReasons(t *testing.T) {
	ctx, client, namespace, _ := clientsOf(t)
	maps := client.CoreV1().ConfigMaps(namespace)
	made := must[*corev1.ConfigMap](t)(maps.Create(ctx, configMap("a", nil), metav1.CreateOptions{}))
	_, err := maps.Create(ctx, configMap("a", nil), metav1.CreateOptions{})
	check(t, want("exists", apierrors.IsAlreadyExists(err), true))
	_, err = maps.Get(ctx, "none", metav1.GetOptions{})
	check(t, want("not found", apierrors.IsNotFound(err), true))
	must[*corev1.ConfigMap](t)(maps.Patch(ctx, "a", types.MergePatchType, []byte(`{"data":{"a":"b"}}`), metav1.PatchOptions{}))
	_, err = maps.Update(ctx, made, metav1.UpdateOptions{})
	check(t, want("conflict", apierrors.IsConflict(err), true))
	_, err = maps.Create(ctx, configMap("UPPER", nil), metav1.CreateOptions{})
	check(t, want("invalid", apierrors.IsInvalid(err), true))
	_, err = maps.List(ctx, metav1.ListOptions{ResourceVersion: "1", ResourceVersionMatch: metav1.ResourceVersionMatchExact})
	check(t, want("expired", apierrors.IsResourceExpired(err) || err == nil, true))
	err = maps.Delete(ctx, "a", metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: new(types.UID)}})
	check(t, want("precondition", apierrors.IsConflict(err), true))
}

func TestPagesAreOneVersion(t *testing.T) {
	ctx, client, namespace, notes := clientsOf(t)
	maps := client.CoreV1().ConfigMaps(namespace)
	for n := range 60 {
		must[*corev1.ConfigMap](t)(maps.Create(ctx, configMap(fmt.Sprintf("map-%03d", n), nil), metav1.CreateOptions{}))
	}
	names := map[string]bool{}
	lister := pager.New(pager.SimplePageFunc(func(options metav1.ListOptions) (runtime.Object, error) {
		if options.Continue != "" {
			// A change between pages is not seen.
			_ = maps.Delete(ctx, "map-055", metav1.DeleteOptions{})
		}
		return maps.List(ctx, options)
	}))
	lister.PageSize = 7
	check(t, lister.EachListItem(ctx, metav1.ListOptions{}, func(item runtime.Object) error {
		names[item.(*corev1.ConfigMap).Name] = true
		return nil
	}))
	if !names["map-055"] || !names["map-059"] {
		t.Fatalf("items are missing: %d", len(names))
	}
	if pages := notes.find(func(one seen) bool { return strings.Contains(one.url, "continue=") }); len(pages) < 8 {
		t.Fatalf("%d pages", len(pages))
	}
}

func TestServerSideApply(t *testing.T) {
	ctx, client, namespace, _ := clientsOf(t)
	maps := client.CoreV1().ConfigMaps(namespace)
	of := func(data map[string]string) *corev1apply.ConfigMapApplyConfiguration {
		return corev1apply.ConfigMap("shared", namespace).WithData(data)
	}
	must[*corev1.ConfigMap](t)(maps.Apply(ctx, of(map[string]string{"one": "1", "two": "2"}), metav1.ApplyOptions{FieldManager: "first"}))
	_, err := maps.Apply(ctx, of(map[string]string{"one": "other"}), metav1.ApplyOptions{FieldManager: "second"})
	check(t, want("conflict", apierrors.IsConflict(err), true))
	if !strings.Contains(err.Error(), `conflict with "first"`) || !strings.Contains(err.Error(), ".data.one") {
		t.Fatal(err)
	}
	must[*corev1.ConfigMap](t)(maps.Apply(ctx, of(map[string]string{"one": "other"}), metav1.ApplyOptions{FieldManager: "second", Force: true}))
	got := must[*corev1.ConfigMap](t)(maps.Apply(ctx, of(map[string]string{}), metav1.ApplyOptions{FieldManager: "first"}))
	check(t, want("data", got.Data, map[string]string{"one": "other"}))
	owned := must[*corev1apply.ConfigMapApplyConfiguration](t)(corev1apply.ExtractConfigMap(got, "second"))
	check(t, want("what the second owns", owned.Data, map[string]string{"one": "other"}))
}

func TestSubresources(t *testing.T) {
	ctx, client, namespace, _ := clientsOf(t)
	apps := client.AppsV1().Deployments(namespace)
	labels := map[string]string{"app": "app"}
	one := int32(1)
	must[*appsv1.Deployment](t)(apps.Create(ctx, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "app"},
		Spec: appsv1.DeploymentSpec{Replicas: &one, Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "echo", Image: "fairlead.dev/echo"}}},
		}},
	}, metav1.CreateOptions{}))
	// The controller writes the Deployment's status meanwhile.
	check(t, retry.RetryOnConflict(retry.DefaultRetry, func() error {
		scale, err := apps.GetScale(ctx, "app", metav1.GetOptions{})
		if err != nil {
			return err
		}
		scale.Spec.Replicas = 2
		_, err = apps.UpdateScale(ctx, "app", scale, metav1.UpdateOptions{})
		return err
	}))
	var pods *corev1.PodList
	eventually(t, "two pods are ready", func() error {
		got, err := apps.Get(ctx, "app", metav1.GetOptions{})
		if err != nil {
			return err
		}
		return want("ready", got.Status.ReadyReplicas, 2)
	})
	pods = must[*corev1.PodList](t)(client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=app", FieldSelector: "status.phase=Running"}))
	check(t, want("running pods", len(pods.Items), 2))
	check(t, client.PolicyV1().Evictions(namespace).Evict(ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: pods.Items[0].Name, Namespace: namespace}}))
	eventually(t, "the evicted pod is gone", func() error {
		_, err := client.CoreV1().Pods(namespace).Get(ctx, pods.Items[0].Name, metav1.GetOptions{})
		return want("not found", apierrors.IsNotFound(err), true)
	})
}

func TestTokensAndReviews(t *testing.T) {
	ctx, client, namespace, _ := clientsOf(t)
	must[*corev1.ServiceAccount](t)(client.CoreV1().ServiceAccounts(namespace).Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "robot"}}, metav1.CreateOptions{}))
	token := must[*authenticationv1.TokenRequest](t)(client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, "robot", &authenticationv1.TokenRequest{}, metav1.CreateOptions{}))
	review := must[*authenticationv1.TokenReview](t)(client.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token.Status.Token}}, metav1.CreateOptions{}))
	check(t, want("authenticated", review.Status.Authenticated, true))
	check(t, want("user", review.Status.User.Username, "system:serviceaccount:"+namespace+":robot"))
	access := must[*authorizationv1.SubjectAccessReview](t)(client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: review.Status.User.Username, Groups: review.Status.User.Groups,
		ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "delete", Resource: "nodes"},
	}}, metav1.CreateOptions{}))
	check(t, want("allowed", access.Status.Allowed, false))
}
