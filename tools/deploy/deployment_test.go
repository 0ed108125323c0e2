package deploy

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
)

const (
	// name is that of the gateway's resources.
	name = "samsara-gateway"
	// nameLabel is the label that selects its pods.
	nameLabel = "app.kubernetes.io/name"
	// cutOff is how long calls that are cut off have to end after --shutdown-grace.
	cutOff = 5 * time.Second
)

// overlays are the kustomizations that run a gateway.
func overlays() []string { return []string{"sandbox", "single", "production"} }

// only returns the gateway's container.
func only(t *testing.T, d *appsv1.Deployment) *corev1.Container {
	t.Helper()
	if n := len(d.Spec.Template.Spec.Containers); n != 1 {
		t.Fatalf("%d containers, want 1", n)
	}
	return &d.Spec.Template.Spec.Containers[0]
}

// environment returns the variables of a container, with those of config maps and secrets that the kustomization makes.
func environment(t *testing.T, m manifests, c *corev1.Container) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, from := range c.EnvFrom {
		maps.Copy(all, find[corev1.ConfigMap](t, m, "ConfigMap", from.ConfigMapRef.Name).Data)
	}
	for _, v := range c.Env {
		all[v.Name] = v.Value
		if v.ValueFrom != nil {
			ref := v.ValueFrom.SecretKeyRef
			value, ok := find[corev1.Secret](t, m, "Secret", ref.Name).Data[ref.Key]
			if !ok {
				t.Errorf("the secret %s has no key %s", ref.Name, ref.Key)
			}
			all[v.Name] = string(value)
		}
	}
	return all
}

// check reports that something does not hold of an overlay.
func check(t *testing.T, holds bool, format string, args ...any) {
	t.Helper()
	if !holds {
		t.Errorf(format, args...)
	}
}

// TestDeployment_everyOverlay looks for what the types do not ask for, and every gateway needs.
func TestDeployment_everyOverlay(t *testing.T) {
	t.Parallel()
	for _, overlay := range overlays() {
		t.Run(overlay, func(t *testing.T) {
			t.Parallel()
			m := build(t, "overlays/"+overlay)
			d := find[appsv1.Deployment](t, m, "Deployment", name)
			pod, c := d.Spec.Template.Spec, only(t, d)

			check(t, d.Spec.Selector != nil && d.Spec.Selector.MatchLabels[nameLabel] == name, "the deployment selects %v", d.Spec.Selector)
			check(t, d.Spec.Template.Labels[nameLabel] == name, "the pods have the labels %v", d.Spec.Template.Labels)
			check(t, pod.EnableServiceLinks != nil && !*pod.EnableServiceLinks, "enableServiceLinks is not false")
			check(t, pod.AutomountServiceAccountToken != nil && !*pod.AutomountServiceAccountToken, "the token of the service account is mounted")
			find[corev1.ServiceAccount](t, m, "ServiceAccount", pod.ServiceAccountName)
			check(t, strings.HasPrefix(c.Image, name+":"), "the image is %q, without a tag", c.Image)

			// Who it runs as, and what it may do.
			s := pod.SecurityContext
			check(t, s != nil && s.RunAsNonRoot != nil && *s.RunAsNonRoot && s.RunAsUser != nil && *s.RunAsUser == 65532, "it may run as root")
			check(t, s.SeccompProfile != nil && s.SeccompProfile.Type == corev1.SeccompProfileTypeRuntimeDefault, "it has no seccomp profile")
			own := c.SecurityContext
			check(t, own != nil && own.ReadOnlyRootFilesystem != nil && *own.ReadOnlyRootFilesystem, "its root can be written")
			check(t, own.AllowPrivilegeEscalation != nil && !*own.AllowPrivilegeEscalation, "it may become more than it is")
			check(t, own.Capabilities != nil && slices.Contains(own.Capabilities.Drop, "ALL"), "it has capabilities")

			// The gateway reads the limit of memory; Go the cores that it may use.
			memory := c.Resources.Limits.Memory()
			check(t, !memory.IsZero() && memory.Equal(*c.Resources.Requests.Memory()), "the limit of memory is not what is requested")
			check(t, !c.Resources.Requests.Cpu().IsZero(), "no CPU is requested, which the autoscaler needs")
			env := environment(t, m, c)
			for _, variable := range []string{"GOMEMLIMIT", "GOGC", "GOMAXPROCS"} {
				check(t, env[variable] == "", "%s is set, and the gateway would not follow its limits", variable)
			}

			// Ports by their names.
			ports := make(map[string]string)
			for _, p := range c.Ports {
				ports[p.Name] = ":" + strconv.Itoa(int(p.ContainerPort))
			}
			check(t, ports["grpc"] == env["SAMSARA_GATEWAY_LISTEN"] && ports["admin"] == env["SAMSARA_GATEWAY_ADMIN_LISTEN"],
				"the ports are %v, and it listens on %s and %s", ports, env["SAMSARA_GATEWAY_LISTEN"], env["SAMSARA_GATEWAY_ADMIN_LISTEN"])

			checkEnd(t, &pod, c, env)
			checkProbes(t, c, env)
			checkVolumes(t, m, &pod, c)

			service := find[corev1.Service](t, m, "Service", name)
			check(t, service.Spec.ClusterIP == corev1.ClusterIPNone, "the service is not headless")
			check(t, service.Spec.Selector[nameLabel] == name, "the service selects %v", service.Spec.Selector)
			for _, p := range service.Spec.Ports {
				check(t, ports[p.TargetPort.String()] == ":"+strconv.Itoa(int(p.Port)), "the service has port %d for %s", p.Port, p.TargetPort.String())
			}
		})
	}
}

// checkEnd checks that there is time for all that the gateway does when it is told to stop.
func checkEnd(t *testing.T, pod *corev1.PodSpec, c *corev1.Container, env map[string]string) {
	t.Helper()
	stop := c.Lifecycle
	if stop == nil || stop.PreStop == nil || stop.PreStop.Sleep == nil {
		t.Fatal("there is no preStop that sleeps")
	}
	needed := time.Duration(stop.PreStop.Sleep.Seconds)*time.Second + cutOff
	for _, setting := range []string{"SAMSARA_GATEWAY_DRAIN_DELAY", "SAMSARA_GATEWAY_SHUTDOWN_GRACE"} {
		d, err := time.ParseDuration(env[setting])
		if err != nil {
			t.Fatalf("%s: %v", setting, err)
		}
		needed += d
	}
	var grace time.Duration // Kubernetes would take 30 s, which are too few.
	if seconds := pod.TerminationGracePeriodSeconds; seconds != nil {
		grace = time.Duration(*seconds) * time.Second
	}
	check(t, grace >= needed, "terminationGracePeriodSeconds is %v, and %v are needed", grace, needed)
}

// checkProbes checks that each probe asks what there is.
func checkProbes(t *testing.T, c *corev1.Container, env map[string]string) {
	t.Helper()
	if c.LivenessProbe == nil || c.ReadinessProbe == nil || c.StartupProbe == nil {
		t.Fatal("a probe is missing")
	}
	scheme := corev1.URIScheme("")
	if env["SAMSARA_GATEWAY_ADMIN_TLS_CERT_FILE"] != "" {
		scheme = corev1.URISchemeHTTPS
	}
	for what, p := range map[string]*corev1.Probe{"liveness": c.LivenessProbe, "startup": c.StartupProbe} {
		check(t, p.HTTPGet != nil && p.HTTPGet.Path == "/livez" && p.HTTPGet.Port.String() == "admin" && p.HTTPGet.Scheme == scheme,
			"the %s probe asks %+v", what, p.ProbeHandler)
	}
	ready := c.ReadinessProbe
	if env["SAMSARA_GATEWAY_TLS_CERT_FILE"] == "" {
		check(t, ready.GRPC != nil && ":"+strconv.Itoa(int(ready.GRPC.Port)) == env["SAMSARA_GATEWAY_LISTEN"], "the readiness probe asks %+v", ready.ProbeHandler)
		return
	}
	// kubelet's probe for gRPC knows no TLS.
	if ready.Exec == nil || ready.GRPC != nil {
		t.Fatalf("the readiness probe asks %+v", ready.ProbeHandler)
	}
	checkCommand(t, ready.Exec.Command, time.Duration(ready.TimeoutSeconds)*time.Second)
}

// checkVolumes checks that what is mounted is there, and as a folder.
func checkVolumes(t *testing.T, m manifests, pod *corev1.PodSpec, c *corev1.Container) {
	t.Helper()
	volumes := make(map[string]bool)
	for _, v := range pod.Volumes {
		volumes[v.Name] = true
		if v.ConfigMap != nil {
			find[corev1.ConfigMap](t, m, "ConfigMap", v.ConfigMap.Name)
		}
	}
	for _, mount := range c.VolumeMounts {
		check(t, volumes[mount.Name], "there is no volume %s", mount.Name)
		check(t, mount.SubPath == "", "%s is a subPath, which Kubernetes never updates", mount.MountPath)
		check(t, mount.ReadOnly, "%s can be written", mount.MountPath)
	}
	check(t, len(volumes) == len(c.VolumeMounts), "%d volumes, of which %d are mounted", len(volumes), len(c.VolumeMounts))
}

func TestDeployment_single(t *testing.T) {
	t.Parallel()
	m := build(t, "overlays/single")
	d := find[appsv1.Deployment](t, m, "Deployment", name)
	check(t, d.Spec.Replicas != nil && *d.Spec.Replicas == 1, "replicas: %v", d.Spec.Replicas)
	check(t, d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType && d.Spec.Strategy.RollingUpdate == nil, "two run at a time: %+v", d.Spec.Strategy)
	checkGuarded(t, m)
}

func TestDeployment_production(t *testing.T) {
	t.Parallel()
	m := build(t, "overlays/production")
	d := find[appsv1.Deployment](t, m, "Deployment", name)
	c := only(t, d)
	env := environment(t, m, c)

	// Replicas.
	scaler := find[autoscalingv2.HorizontalPodAutoscaler](t, m, "HorizontalPodAutoscaler", name).Spec
	check(t, d.Spec.Replicas == nil, "the deployment has replicas too, which each apply would set")
	check(t, scaler.ScaleTargetRef.Kind == "Deployment" && scaler.ScaleTargetRef.Name == d.Name, "the autoscaler scales %+v", scaler.ScaleTargetRef)
	check(t, scaler.MinReplicas != nil && *scaler.MinReplicas >= 2 && scaler.MaxReplicas > *scaler.MinReplicas, "%v to %d replicas", scaler.MinReplicas, scaler.MaxReplicas)
	check(t, len(scaler.Metrics) == 1 && scaler.Metrics[0].Resource != nil && scaler.Metrics[0].Resource.Name == corev1.ResourceCPU, "it scales by %+v", scaler.Metrics)
	check(t, env["SAMSARA_GATEWAY_QUOTA_REPLICAS"] == strconv.Itoa(int(*scaler.MinReplicas)), "--quota-replicas is %s", env["SAMSARA_GATEWAY_QUOTA_REPLICAS"])
	check(t, strings.HasPrefix(env["SAMSARA_GATEWAY_QUOTA_REDIS"], "redis"), "there is no Redis for the quota")
	budget := find[policyv1.PodDisruptionBudget](t, m, "PodDisruptionBudget", name).Spec
	check(t, budget.MaxUnavailable != nil && budget.MaxUnavailable.IntValue() == 1 && budget.Selector.MatchLabels[nameLabel] == name, "the budget is %+v", budget)
	var keys []string
	for _, s := range d.Spec.Template.Spec.TopologySpreadConstraints {
		keys = append(keys, s.TopologyKey)
		check(t, s.LabelSelector != nil && s.LabelSelector.MatchLabels[nameLabel] == name, "%s spreads %v", s.TopologyKey, s.LabelSelector)
	}
	check(t, slices.Contains(keys, corev1.LabelHostname) && slices.Contains(keys, corev1.LabelTopologyZone), "it is spread by %v", keys)
	update := d.Spec.Strategy.RollingUpdate
	check(t, update != nil && update.MaxUnavailable != nil && update.MaxUnavailable.IntValue() == 0, "an update takes one away first: %+v", update)

	// Who may call, and how they are told apart.
	for _, variable := range []string{"INSECURE", "ADMIN_INSECURE", "SANDBOX", "PPROF"} {
		check(t, env["SAMSARA_GATEWAY_"+variable] == "", "SAMSARA_GATEWAY_%s is set", variable)
	}
	for _, variable := range []string{"TLS_CERT_FILE", "ADMIN_TLS_CERT_FILE", "JWT_ISSUER", "JWT_AUDIENCE", "POLICY_FILE", "AUDIT_FILE"} {
		check(t, env["SAMSARA_GATEWAY_"+variable] != "", "SAMSARA_GATEWAY_%s is not set", variable)
	}
	checkGuarded(t, m)
	certificate := find[certmanagerv1.Certificate](t, m, "Certificate", name).Spec
	mounted := false
	for _, v := range d.Spec.Template.Spec.Volumes {
		mounted = mounted || v.Secret != nil && v.Secret.SecretName == certificate.SecretName
	}
	check(t, mounted, "the certificate's secret %s is not mounted", certificate.SecretName)
	check(t, certificate.IssuerRef.Name != "", "nobody signs the certificate")
	service := find[corev1.Service](t, m, "Service", name)
	dns := service.Name + "." + service.Namespace + ".svc"
	check(t, slices.Contains(certificate.DNSNames, dns), "the certificate has no name %s: %v", dns, certificate.DNSNames)

	// Who looks at it.
	monitor := find[monitoringv1.ServiceMonitor](t, m, "ServiceMonitor", name).Spec
	check(t, monitor.Selector.MatchLabels[nameLabel] == service.Labels[nameLabel], "the monitor selects %v, and the service has %v", monitor.Selector.MatchLabels, service.Labels)
	check(t, len(monitor.Endpoints) == 1 && monitor.Endpoints[0].Port == "admin" && monitor.Endpoints[0].Path == "/metrics", "it asks %+v", monitor.Endpoints)
	tls := monitor.Endpoints[0].TLSConfig
	check(t, tls != nil && tls.ServerName != nil && slices.Contains(certificate.DNSNames, *tls.ServerName), "it expects another certificate")
}

// checkGuarded checks that a policy selects the gateway's pods, and what it lets in.
func checkGuarded(t *testing.T, m manifests) {
	t.Helper()
	p := find[networkingv1.NetworkPolicy](t, m, "NetworkPolicy", name).Spec
	check(t, p.PodSelector.MatchLabels[nameLabel] == name, "the network policy is for %v", p.PodSelector)
	check(t, slices.Contains(p.PolicyTypes, networkingv1.PolicyTypeIngress) && slices.Contains(p.PolicyTypes, networkingv1.PolicyTypeEgress), "it is of %v", p.PolicyTypes)
	check(t, len(p.Ingress) > 0, "it lets nobody in")
	for _, rule := range p.Ingress {
		check(t, len(rule.From) > 0 && len(rule.Ports) > 0, "a rule lets everybody in, or to every port: %+v", rule)
	}
}

// TestCaller_tokenIsForTheGateway holds the example of a caller against the gateway of production.
func TestCaller_tokenIsForTheGateway(t *testing.T) {
	t.Parallel()
	production := build(t, "overlays/production")
	gateway := find[appsv1.Deployment](t, production, "Deployment", name)
	env := environment(t, production, only(t, gateway))
	m := build(t, "caller")
	d := find[appsv1.Deployment](t, m, "Deployment", "planner")
	pod := d.Spec.Template.Spec
	find[corev1.ServiceAccount](t, m, "ServiceAccount", pod.ServiceAccountName)
	var audiences []string
	for _, v := range pod.Volumes {
		for _, source := range v.Projected.Sources {
			if source.ServiceAccountToken != nil {
				audiences = append(audiences, source.ServiceAccountToken.Audience)
			}
		}
	}
	check(t, slices.Equal(audiences, []string{env["SAMSARA_GATEWAY_JWT_AUDIENCE"]}), "its tokens are for %v", audiences)
	service := find[corev1.Service](t, production, "Service", name)
	address := "dns:///" + service.Name + "." + service.Namespace + ".svc" + env["SAMSARA_GATEWAY_LISTEN"]
	check(t, environment(t, m, only(t, d))["SAMSARA_GATEWAY_ADDRESS"] == address, "it calls another address than %s", address)
	// It is one of those that the network policy lets in.
	callers := find[networkingv1.NetworkPolicy](t, production, "NetworkPolicy", name).Spec.Ingress[0].From[1]
	for key, value := range callers.PodSelector.MatchLabels {
		check(t, d.Spec.Template.Labels[key] == value, "its pods lack the label %s", key)
	}
	for key, value := range callers.NamespaceSelector.MatchLabels {
		check(t, find[corev1.Namespace](t, m, "Namespace", d.Namespace).Labels[key] == value, "its namespace lacks the label %s", key)
	}
}
