// Package deploy has no code. Its tests build the manifests in deploy/kubernetes and decode them strictly as the types of
// Kubernetes, cert-manager and the Prometheus operator, look for what must be in them, and have the gateway check the
// configuration that its containers would get. They do the same for deploy/systemd. They need no cluster.
//
// It is a module of its own, because these types and kustomize are many and large.
package deploy
