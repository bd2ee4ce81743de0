{{- define "eureka-drain.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" (.Release.Name | trunc 27 | trimSuffix "-") .Chart.Name -}}
{{- end -}}
{{- end -}}

{{/* The labels that a selector asks for. root, component, region. */}}
{{- define "eureka-drain.selector" -}}
app.kubernetes.io/name: eureka-drain
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with .region }}
eureka.drain/region: {{ . | quote }}
{{- end }}
{{- end -}}

{{/* Every label of an object. root, component, region. */}}
{{- define "eureka-drain.labels" -}}
{{ include "eureka-drain.selector" . }}
app.kubernetes.io/part-of: eureka-drain
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "eureka-drain.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* root, component, region: the Secret that a role reads. */}}
{{- define "eureka-drain.secret" -}}
{{- $own := "" -}}
{{- if .region -}}
{{- $own = (get .root.Values.work.regions .region | default dict).secret -}}
{{- end -}}
{{- $own | default (get .root.Values.secrets .component) | default (printf "%s-%s" (include "eureka-drain.fullname" .root) .component) -}}
{{- end -}}

{{/* No release without what it cannot do without. */}}
{{- define "eureka-drain.check" -}}
{{- if not .Values.settings.regions -}}
{{- fail "settings.regions is empty: name each Eureka region with all its nodes; the chart's README.md has an example" -}}
{{- end -}}
{{- range $name, $region := .Values.settings.regions -}}
{{- if not ($region | default dict).nodes -}}
{{- fail (printf "settings.regions.%s has no nodes: name every Eureka node of the region, none behind a load balancer" $name) -}}
{{- end -}}
{{- if contains "@" (toString $region.nodes) -}}
{{- fail (printf "settings.regions.%s.nodes has a password, which would stand in a ConfigMap: put username and password into the Secrets" $name) -}}
{{- end -}}
{{- end -}}
{{- if contains "@" (toString (.Values.settings.broker | default dict).url) -}}
{{- fail "settings.broker.url has a password, which would stand in a ConfigMap: put the URL into the roles' Secrets, as broker__url" -}}
{{- end -}}
{{- range $name, $usual := dict "port" "8080" "metrics_port" "8081" -}}
{{- $given := get ($.Values.settings.http | default dict) $name -}}
{{- if and $given (ne (toString $given) $usual) -}}
{{- fail (printf "settings.http.%s is %s here, which probes, Services and policies count on: leave it out" $name $usual) -}}
{{- end -}}
{{- end -}}
{{- if regexMatch ":[^/]*$" .Values.image.repository -}}
{{- fail "image.repository ends with a tag: put that into image.tag" -}}
{{- end -}}
{{- $watch := .Values.settings.watch | default dict -}}
{{- if and $watch.namespaces (not (kindIs "slice" $watch.namespaces)) -}}
{{- fail "settings.watch.namespaces: write a list, [shop]" -}}
{{- end -}}
{{- if eq .Values.rbac.scope "namespaces" -}}
{{- if not $watch.namespaces -}}
{{- fail "rbac.scope is namespaces: name them in settings.watch.namespaces" -}}
{{- end -}}
{{- $ops := .Values.settings.ops | default dict -}}
{{- if or (ne (toString $watch.nodes) "false") (ne (toString $ops.kubernetes) "false") -}}
{{- fail "rbac.scope is namespaces: set settings.watch.nodes and settings.ops.kubernetes to false, which no Role can grant" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Accounts get a token only where a pod asks for one. root, component, region, name. */}}
{{- define "eureka-drain.account" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "eureka-drain.labels" . | nindent 4 }}
automountServiceAccountToken: false
{{- end -}}

{{/* root, component, region, name, budget. */}}
{{- define "eureka-drain.disruptionBudget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "eureka-drain.labels" . | nindent 4 }}
spec:
  {{ .budget }}: 1
  # A pod that is not ready does nothing: it must not keep a node from being emptied.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "eureka-drain.selector" . | nindent 6 }}
{{- end -}}

{{/* root, component, region, name, replicas, and what eureka-drain.pod wants. */}}
{{- define "eureka-drain.deployment" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "eureka-drain.labels" . | nindent 4 }}
  annotations:
    kube-score/ignore: container-image-pull-policy
    kube-score/reason: >-
      The tag is never moved. With Always, a registry that does not answer would keep a pod from starting again.
spec:
  replicas: {{ .replicas }}
  revisionHistoryLimit: 3
  strategy:
    type: RollingUpdate
    rollingUpdate:
      # A new pod is at work before an old one goes.
      maxUnavailable: 0
      maxSurge: 1
  selector:
    matchLabels:
      {{- include "eureka-drain.selector" . | nindent 6 }}
  template:
    {{- include "eureka-drain.pod" . | nindent 4 }}
{{- end -}}

{{/* A pod's template. root, component, region, args, token, grace; spread, metrics, sleep and job where it has them. */}}
{{- define "eureka-drain.pod" -}}
{{- $values := get .root.Values (.component | replace "topology" "topologyKeeper") -}}
metadata:
  labels:
    {{- include "eureka-drain.labels" . | nindent 4 }}
    {{- with .root.Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # It never registers: there is nothing to drain.
    eureka.drain/enabled: "false"
    # Other settings are another pod.
    eureka.drain/settings: {{ .root.Values.settings | toYaml | sha256sum | trunc 16 }}
    {{- with .root.Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ .name }}
  automountServiceAccountToken: {{ .token }}
  enableServiceLinks: false
  {{- with .root.Values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  {{- if .job }}
  restartPolicy: Never
  {{- end }}
  terminationGracePeriodSeconds: {{ .grace }}
  {{- if .root.Values.priorityClass.create }}
  priorityClassName: {{ include "eureka-drain.fullname" .root }}
  {{- else if .root.Values.priorityClass.name }}
  priorityClassName: {{ .root.Values.priorityClass.name }}
  {{- end }}
  {{- with .root.Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .root.Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if .spread }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      # Not DoNotSchedule: on a cluster of one node, two pods beside each other are better than one.
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "eureka-drain.selector" . | nindent 10 }}
      matchLabelKeys: [pod-template-hash]
  # Zones are no second constraint: kube-scheduler passes over a node that lacks the key of one of them, for all of
  # them, and in many clusters no node names a zone. An affinity to a key that is not there counts for nothing.
  affinity:
    podAntiAffinity:
      preferredDuringSchedulingIgnoredDuringExecution:
        - weight: 100
          podAffinityTerm:
            topologyKey: topology.kubernetes.io/zone
            labelSelector:
              matchLabels:
                {{- include "eureka-drain.selector" . | nindent 16 }}
            matchLabelKeys: [pod-template-hash]
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    # Its group may read the Secret's files.
    fsGroup: 65532
    seccompProfile:
      type: RuntimeDefault
  containers:
    - name: {{ .component }}
      image: {{ include "eureka-drain.image" .root | quote }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      args: {{ .args | toJson }}
      env:
        {{- if .region }}
        - name: REGION
          valueFrom:
            fieldRef:
              fieldPath: metadata.labels['eureka.drain/region']
        {{- end }}
        - name: EUREKA_DRAIN_CONFIG
          value: /etc/eureka-drain/controller.yaml
        - name: EUREKA_DRAIN_SECRETS_DIR
          value: /run/secrets/eureka-drain
        {{- if .metrics }}
        # Metrics name regions, namespaces and workloads: not on the port that the page's readers reach.
        - name: EUREKA_DRAIN_HTTP__METRICS_PORT
          value: "8081"
        {{- end }}
        {{- with .root.Values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- if .sleep }}
      lifecycle:
        preStop:
          # Until every node knows that the Service has one address less than before.
          sleep:
            seconds: {{ .sleep }}
      {{- end }}
      {{- if not .job }}
      ports:
        - name: http
          containerPort: 8080
        {{- if .metrics }}
        - name: metrics
          containerPort: 8081
        {{- end }}
      startupProbe:
        httpGet:
          path: /healthz
          port: http
        periodSeconds: 2
        failureThreshold: 30
      livenessProbe:
        httpGet:
          path: /healthz
          port: http
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet:
          path: /readyz
          port: http
        periodSeconds: 5
        timeoutSeconds: 3
      {{- end }}
      resources:
        {{- toYaml $values.resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        privileged: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      volumeMounts:
        - name: settings
          mountPath: /etc/eureka-drain
          readOnly: true
        - name: secrets
          mountPath: /run/secrets/eureka-drain
          readOnly: true
        {{- if .root.Values.tls.brokerSecret }}
        - name: broker-tls
          mountPath: /etc/eureka-drain-tls/broker
          readOnly: true
        {{- end }}
        {{- if .root.Values.tls.eurekaSecret }}
        - name: eureka-tls
          mountPath: /etc/eureka-drain-tls/eureka
          readOnly: true
        {{- end }}
  volumes:
    - name: settings
      configMap:
        name: {{ include "eureka-drain.fullname" .root }}-settings
    # Not in this chart: README.md shows how to make it. Pods wait until it is there.
    - name: secrets
      secret:
        secretName: {{ include "eureka-drain.secret" . }}
        defaultMode: 288 # 0440
    {{- with .root.Values.tls.brokerSecret }}
    - name: broker-tls
      secret:
        secretName: {{ . }}
        defaultMode: 288 # 0440
    {{- end }}
    {{- with .root.Values.tls.eurekaSecret }}
    - name: eureka-tls
      secret:
        secretName: {{ . }}
        defaultMode: 288 # 0440
    {{- end }}
{{- end -}}

{{/* What an account may do: cluster-wide, or in each watched namespace. root, component, name, rules, wide. */}}
{{- define "eureka-drain.rights" -}}
{{- $this := . -}}
{{- if eq .root.Values.rbac.scope "cluster" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: {{ .name }}
  labels:
    {{- include "eureka-drain.labels" . | nindent 4 }}
rules:
  {{- .rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {{ .name }}
  labels:
    {{- include "eureka-drain.labels" . | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: {{ .name }}
subjects:
  - kind: ServiceAccount
    name: {{ .name }}
    namespace: {{ .root.Release.Namespace }}
{{- else if not .wide -}}
{{- range .root.Values.settings.watch.namespaces }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ $this.name }}
  namespace: {{ . }}
  labels:
    {{- include "eureka-drain.labels" $this | nindent 4 }}
rules:
  {{- $this.rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ $this.name }}
  namespace: {{ . }}
  labels:
    {{- include "eureka-drain.labels" $this | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ $this.name }}
subjects:
  - kind: ServiceAccount
    name: {{ $this.name }}
    namespace: {{ $this.root.Release.Namespace }}
{{- end }}
{{- end -}}
{{- end -}}
