package clients

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/util/cert"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// Site is a custom resource whose controller keeps a Deployment.
type Site struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              SiteSpec   `json:"spec,omitempty"`
	Status            SiteStatus `json:"status,omitempty"`
}

type SiteSpec struct {
	Replicas int32  `json:"replicas,omitempty"`
	Text     string `json:"text,omitempty"`
}

type SiteStatus struct {
	ReadyReplicas int32 `json:"readyReplicas,omitempty"`
}

type SiteList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Site `json:"items"`
}

func (s *Site) DeepCopyObject() runtime.Object {
	out := *s
	s.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	return &out
}

func (l *SiteList) DeepCopyObject() runtime.Object {
	out := &SiteList{TypeMeta: l.TypeMeta, ListMeta: *l.ListMeta.DeepCopy()}
	for i := range l.Items {
		out.Items = append(out.Items, *l.Items[i].DeepCopyObject().(*Site))
	}
	return out
}

const siteGroup = "sites.example.com"
const siteFinalizer = siteGroup + "/cleanup"

type siteReconciler struct {
	client.Client
	cleaned chan string
}

func (r *siteReconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	site := &Site{}
	if err := r.Get(ctx, request.NamespacedName, site); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !site.DeletionTimestamp.IsZero() {
		if controllerutil.RemoveFinalizer(site, siteFinalizer) {
			if err := r.Update(ctx, site); err != nil {
				return ctrl.Result{}, err
			}
			r.cleaned <- site.Name
		}
		return ctrl.Result{}, nil
	}
	if controllerutil.AddFinalizer(site, siteFinalizer) {
		if err := r.Update(ctx, site); err != nil {
			return ctrl.Result{}, err
		}
	}
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: site.Name, Namespace: site.Namespace}}
	_, err := controllerutil.CreateOrUpdate(ctx, r.Client, deployment, func() error {
		labels := map[string]string{"site": site.Name}
		deployment.Spec.Replicas = &site.Spec.Replicas
		deployment.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
		deployment.Spec.Template.Labels = labels
		if len(deployment.Spec.Template.Spec.Containers) == 0 {
			deployment.Spec.Template.Spec.Containers = []corev1.Container{{Name: "echo", Image: "fairlead.dev/echo"}}
		}
		return controllerutil.SetControllerReference(site, deployment, r.Scheme())
	})
	if err != nil {
		return ctrl.Result{}, err
	}
	if site.Status.ReadyReplicas != deployment.Status.ReadyReplicas {
		site.Status.ReadyReplicas = deployment.Status.ReadyReplicas
		return ctrl.Result{}, r.Status().Update(ctx, site)
	}
	return ctrl.Result{}, nil
}

type siteWebhook struct{}

func (siteWebhook) Default(_ context.Context, site *Site) error {
	if site.Spec.Replicas == 0 {
		site.Spec.Replicas = 2
	}
	return nil
}

func (siteWebhook) ValidateCreate(_ context.Context, site *Site) (admission.Warnings, error) {
	if strings.Contains(site.Spec.Text, "forbidden") {
		return nil, fmt.Errorf("spec.text must not be forbidden")
	}
	return admission.Warnings{"sites are new"}, nil
}

func (w siteWebhook) ValidateUpdate(ctx context.Context, _, site *Site) (admission.Warnings, error) {
	return w.ValidateCreate(ctx, site)
}

func (siteWebhook) ValidateDelete(context.Context, *Site) (admission.Warnings, error) {
	return nil, nil
}

// A controller-runtime manager as a user writes it: a definition, both webhooks, leader election, a finalizer, owned objects.
func TestControllerManager(t *testing.T) {
	log.SetLogger(zap.New(zap.WriteTo(os.Stderr), zap.UseDevMode(true)))
	ctx, clientset, namespace, _ := clientsOf(t)
	config, _ := configOf(t)
	kinds := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{appsv1.AddToScheme, corev1.AddToScheme, apiextensionsv1.AddToScheme, admissionregistrationv1.AddToScheme} {
		check(t, add(kinds))
	}
	version := schema.GroupVersion{Group: siteGroup, Version: "v1"}
	kinds.AddKnownTypes(version, &Site{}, &SiteList{})
	metav1.AddToGroupVersion(kinds, version)

	direct := must[client.Client](t)(client.New(config, client.Options{Scheme: kinds}))
	definition := widgets(siteGroup)
	definition.Name = "sites." + siteGroup
	definition.Spec.Names = apiextensionsv1.CustomResourceDefinitionNames{Plural: "sites", Singular: "site", Kind: "Site", ListKind: "SiteList"}
	definition.Spec.Versions[0].Subresources = &apiextensionsv1.CustomResourceSubresources{Status: &apiextensionsv1.CustomResourceSubresourceStatus{}}
	preserve := true
	definition.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["status"] = apiextensionsv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: &preserve}
	check(t, direct.Create(ctx, definition))
	defer func() { _ = direct.Delete(context.Background(), definition) }()
	eventually(t, "sites are served", func() error { return direct.List(ctx, &SiteList{}) })

	dir := t.TempDir()
	certificate, key, err := cert.GenerateSelfSignedCertKey("127.0.0.1", []net.IP{net.ParseIP("127.0.0.1")}, nil)
	check(t, err)
	check(t, os.WriteFile(filepath.Join(dir, "tls.crt"), certificate, 0o600))
	check(t, os.WriteFile(filepath.Join(dir, "tls.key"), key, 0o600))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	port := listener.Addr().(*net.TCPAddr).Port
	listener.Close()

	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: kinds, LeaderElection: true, LeaderElectionID: "sites", LeaderElectionNamespace: namespace, LeaderElectionReleaseOnCancel: true,
		Metrics:       metricsserver.Options{BindAddress: "0"},
		WebhookServer: webhook.NewServer(webhook.Options{Host: "127.0.0.1", Port: port, CertDir: dir}),
	})
	check(t, err)
	reconciler := &siteReconciler{Client: manager.GetClient(), cleaned: make(chan string, 1)}
	check(t, ctrl.NewControllerManagedBy(manager).For(&Site{}).Owns(&appsv1.Deployment{}).Complete(reconciler))
	check(t, ctrl.NewWebhookManagedBy(manager, &Site{}).WithDefaulter(siteWebhook{}).WithValidator(siteWebhook{}).Complete())
	run, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- manager.Start(run) }()
	defer func() { stop(); <-ended }()
	eventually(t, "the webhook server listens", func() error {
		connection, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
		if err == nil {
			connection.Close()
		}
		return err
	})

	none := admissionregistrationv1.SideEffectClassNone
	path := func(verb string) admissionregistrationv1.WebhookClientConfig {
		url := fmt.Sprintf("https://127.0.0.1:%d/%s-%s-v1-site", port, verb, strings.ReplaceAll(siteGroup, ".", "-"))
		return admissionregistrationv1.WebhookClientConfig{URL: &url, CABundle: certificate}
	}
	rules := []admissionregistrationv1.RuleWithOperations{{
		Operations: []admissionregistrationv1.OperationType{"CREATE", "UPDATE"},
		Rule:       admissionregistrationv1.Rule{APIGroups: []string{siteGroup}, APIVersions: []string{"v1"}, Resources: []string{"sites"}},
	}}
	mutating := &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "sites"},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: "default." + siteGroup, ClientConfig: path("mutate"), Rules: rules, SideEffects: &none, AdmissionReviewVersions: []string{"v1"},
		}},
	}
	validating := &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "sites"},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name: "check." + siteGroup, ClientConfig: path("validate"), Rules: rules, SideEffects: &none, AdmissionReviewVersions: []string{"v1"},
		}},
	}
	for _, object := range []client.Object{mutating, validating} {
		check(t, direct.Create(ctx, object))
		defer func() { _ = direct.Delete(context.Background(), object) }()
	}

	refused := &Site{ObjectMeta: metav1.ObjectMeta{Name: "bad", Namespace: namespace}, Spec: SiteSpec{Text: "forbidden"}}
	err = direct.Create(ctx, refused)
	if err == nil || !strings.Contains(err.Error(), "denied the request") || !strings.Contains(err.Error(), "must not be forbidden") {
		t.Fatalf("not refused: %v", err)
	}
	site := &Site{ObjectMeta: metav1.ObjectMeta{Name: "site", Namespace: namespace}, Spec: SiteSpec{Text: "hello"}}
	check(t, direct.Create(ctx, site))
	check(t, want("default of the webhook", site.Spec.Replicas, 2))
	eventually(t, "the site is ready", func() error {
		if err := direct.Get(ctx, client.ObjectKeyFromObject(site), site); err != nil {
			return err
		}
		return want("ready", site.Status.ReadyReplicas, 2)
	})
	check(t, want("finalizers", site.Finalizers, []string{siteFinalizer}))
	check(t, direct.Delete(ctx, site))
	check(t, want("cleaned", <-reconciler.cleaned, "site"))
	eventually(t, "site and Deployment are gone", func() error {
		_, err := clientset.AppsV1().Deployments(namespace).Get(ctx, "site", metav1.GetOptions{})
		return want("Deployment gone", apierrors.IsNotFound(err), true)
	})
}
