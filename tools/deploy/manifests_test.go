package deploy

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// manifests are what a kustomization makes, by kind and name.
type manifests struct{ all map[string]map[string]any }

// typeOf returns a new value of the type of a kind in an API version.
func typeOf(apiVersion, kind string) (any, error) {
	switch apiVersion + " " + kind {
	case "v1 ConfigMap":
		return new(corev1.ConfigMap), nil
	case "v1 Namespace":
		return new(corev1.Namespace), nil
	case "v1 Secret":
		return new(corev1.Secret), nil
	case "v1 Service":
		return new(corev1.Service), nil
	case "v1 ServiceAccount":
		return new(corev1.ServiceAccount), nil
	case "apps/v1 Deployment":
		return new(appsv1.Deployment), nil
	case "autoscaling/v2 HorizontalPodAutoscaler":
		return new(autoscalingv2.HorizontalPodAutoscaler), nil
	case "policy/v1 PodDisruptionBudget":
		return new(policyv1.PodDisruptionBudget), nil
	case "networking.k8s.io/v1 NetworkPolicy":
		return new(networkingv1.NetworkPolicy), nil
	case "cert-manager.io/v1 Certificate":
		return new(certmanagerv1.Certificate), nil
	case "monitoring.coreos.com/v1 ServiceMonitor":
		return new(monitoringv1.ServiceMonitor), nil
	default:
		return nil, errors.New("no type is known for it")
	}
}

// build builds a kustomization below deploy/kubernetes and decodes each resource strictly.
func build(t *testing.T, folder string) manifests {
	t.Helper()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(
		filesys.MakeFsOnDisk(), filepath.Join("..", "..", "deploy", "kubernetes", folder))
	if err != nil {
		t.Fatalf("%s: %v", folder, err)
	}
	made := manifests{make(map[string]map[string]any)}
	for _, r := range resources.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		version := r.GetGvk().Version
		if group := r.GetGvk().Group; group != "" {
			version = group + "/" + version
		}
		value, err := decode(version, r.GetKind(), text)
		if err != nil {
			t.Fatalf("%s: %s %s: %v", folder, r.GetKind(), r.GetName(), err)
		}
		if made.all[r.GetKind()] == nil {
			made.all[r.GetKind()] = make(map[string]any)
		}
		made.all[r.GetKind()][r.GetName()] = value
	}
	return made
}

// decode decodes a resource, and refuses members that its type does not have.
func decode(apiVersion, kind string, text []byte) (any, error) {
	value, err := typeOf(apiVersion, kind)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", apiVersion, kind, err)
	}
	return value, yaml.UnmarshalStrict(text, value)
}

// find returns the resource of a kind and name.
func find[T any](t *testing.T, m manifests, kind, name string) *T {
	t.Helper()
	found, ok := m.all[kind][name].(*T)
	if !ok {
		t.Fatalf("there is no %s %s, but %v", kind, name, m.all[kind])
	}
	return found
}

// TestDecode_strict shows that the decoder of the other tests refuses what cannot have been meant.
func TestDecode_strict(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"misspelt": "apiVersion: apps/v1\nkind: Deployment\nspec: {template: {spec: {enableServiceLink: false}}}\n",
		"mistyped": "apiVersion: apps/v1\nkind: Deployment\nspec: {template: {spec: {terminationGracePeriodSeconds: long}}}\n",
		"doubled":  "apiVersion: apps/v1\nkind: Deployment\nspec: {replicas: 1, replicas: 2}\n",
	} {
		if _, err := decode("apps/v1", "Deployment", []byte(text)); err == nil {
			t.Errorf("%s: it was decoded", name)
		}
	}
}
