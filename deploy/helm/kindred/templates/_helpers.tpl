{{/* Names, labels and what the values come to. A helper that answers yes or no gives "true" or "". */}}

{{- define "kindred.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "kindred.fullname" -}}
{{- $name := include "kindred.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "kindred.agentName" -}}{{ include "kindred.fullname" . }}-agent{{- end -}}
{{- define "kindred.collectorName" -}}{{ include "kindred.fullname" . }}-collector{{- end -}}

{{/* Call with (list . "agent") or (list . "collector"); for what is both roles', (list . ""). */}}
{{- define "kindred.selector" -}}
{{- $top := index . 0 -}}
app.kubernetes.io/name: {{ include "kindred.name" $top }}
app.kubernetes.io/instance: {{ $top.Release.Name }}
{{- with index . 1 }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{- define "kindred.labels" -}}
{{- $top := index . 0 -}}
helm.sh/chart: {{ printf "%s-%s" $top.Chart.Name $top.Chart.Version | replace "+" "_" }}
{{ include "kindred.selector" . }}
app.kubernetes.io/version: {{ $top.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $top.Release.Service }}
{{- with $top.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "kindred.image" -}}
{{- $i := .Values.image -}}
{{- $name := $i.repository -}}
{{- if $i.registry }}{{ $name = printf "%s/%s" $i.registry $i.repository }}{{ end -}}
{{- if $i.digest -}}
{{- printf "%s@%s" $name $i.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default .Chart.AppVersion $i.tag) -}}
{{- end -}}
{{- end -}}

{{- define "kindred.agentAccount" -}}
{{- $a := .Values.node.serviceAccount -}}
{{- if $a.create }}{{ default (include "kindred.agentName" .) $a.name }}{{ else }}{{ default "default" $a.name }}{{ end -}}
{{- end -}}

{{- define "kindred.collectorAccount" -}}
{{- $a := .Values.collector.serviceAccount -}}
{{- if $a.create }}{{ default (include "kindred.collectorName" .) $a.name }}{{ else }}{{ default "default" $a.name }}{{ end -}}
{{- end -}}

{{- define "kindred.hasCollector" -}}
{{- if or .Values.collector.enabled .Values.config.restEndpoint }}true{{ end -}}
{{- end -}}

{{- define "kindred.hasFlows" -}}
{{- if and .Values.node.enabled (ne .Values.node.flows.mode "off") }}true{{ end -}}
{{- end -}}

{{- define "kindred.hasPeers" -}}
{{- if and .Values.node.enabled .Values.peers.enabled (include "kindred.hasCollector" .) }}true{{ end -}}
{{- end -}}

{{/* All resources are kept: for a sink, or for questions. */}}
{{- define "kindred.hasResources" -}}
{{- $c := .Values.collector -}}
{{- if or $c.vector $c.graph $c.events $c.capabilities $c.keepResources .Values.config.restEndpoint }}true{{ end -}}
{{- end -}}

{{/* Files are one process's: sqlite:, jsonl:/..., a ledger. */}}
{{- define "kindred.hasStore" -}}
{{- $c := .Values.collector -}}
{{- $files := list -}}
{{- range concat $c.vector $c.graph $c.events -}}
{{- if regexMatch "^(sqlite|jsonl):" . }}{{ $files = append $files . }}{{ end -}}
{{- end -}}
{{- with get $c.config "ledger" }}{{ $files = append $files (printf "ledger:%s" .) }}{{ end -}}
{{- range $files -}}
{{- if not (contains ":/var/lib/kindred/" .) -}}
{{- fail (printf "%s: files of the collector are in /var/lib/kindred, where the volume is" .) -}}
{{- end -}}
{{- end -}}
{{- if $files }}true{{ end -}}
{{- end -}}

{{- define "kindred.hasResync" -}}
{{- if or .Values.collector.resync.enabled .Values.config.apiBindAddress }}true{{ end -}}
{{- end -}}

{{- define "kindred.resyncPort" -}}
{{- with .Values.config.apiBindAddress }}{{ regexFind "[0-9]+$" . }}{{ else }}{{ .Values.collector.resync.port }}{{ end -}}
{{- end -}}

{{/* Names as the program takes them, cut at commas and blanks; call with the text. A JSON list. */}}
{{- define "kindred.names" -}}
{{- $names := list -}}
{{- range splitList "," . -}}
{{- with trim . }}{{ $names = append $names (lower .) }}{{ end -}}
{{- end -}}
{{- $names | toJson -}}
{{- end -}}

{{- define "kindred.peersTls" -}}
{{- default (printf "%s-peers-tls" (include "kindred.fullname" .)) .Values.peers.tls.secretName -}}
{{- end -}}

{{- define "kindred.peersToken" -}}
{{- default (printf "%s-peers-token" (include "kindred.fullname" .)) .Values.peers.tokenSecretName -}}
{{- end -}}

{{- define "kindred.hasOtlp" -}}
{{- if and (include "kindred.hasFlows" .) .Values.otlp.endpoint }}true{{ end -}}
{{- end -}}

{{/* The collector's port, which its URL may leave out. */}}
{{- define "kindred.otlpPort" -}}
{{- $host := regexFind "^https?://[^/]+" .Values.otlp.endpoint -}}
{{- default (ternary "443" "80" (hasPrefix "https:" $host)) (regexFind ":[0-9]+$" $host | trimPrefix ":") -}}
{{- end -}}

{{- define "kindred.lease" -}}{{ include "kindred.fullname" . }}{{- end -}}

{{/* Linux capabilities of the node role, as a JSON list. */}}
{{- define "kindred.capabilities" -}}
{{- $caps := list -}}
{{- if include "kindred.hasFlows" . -}}
{{- $caps = list "BPF" "PERFMON" -}}
{{- $want := .Values.node.flows.capabilities -}}
{{- if $want.netAdmin }}{{ $caps = append $caps "NET_ADMIN" }}{{ end -}}
{{- if $want.sysPtrace }}{{ $caps = append $caps "SYS_PTRACE" }}{{ end -}}
{{- if $want.sysResource }}{{ $caps = append $caps "SYS_RESOURCE" }}{{ end -}}
{{- end -}}
{{- $caps | toJson -}}
{{- end -}}

{{- define "kindred.seccomp" -}}
seccompProfile:
  type: {{ .Values.seccomp.type }}
{{- if eq .Values.seccomp.type "Localhost" }}
  localhostProfile: {{ .Values.seccomp.localhostProfile }}
{{- end }}
{{- end -}}

{{/* What both roles' containers are alike in. */}}
{{- define "kindred.probes" -}}
{{- $scheme := ternary "HTTPS" "HTTP" (ne .Values.probe.tls.secretName "") -}}
livenessProbe:
  httpGet:
    path: /healthz
    port: probe
    scheme: {{ $scheme }}
  periodSeconds: 20
  timeoutSeconds: 5
readinessProbe:
  httpGet:
    path: /readyz
    port: probe
    scheme: {{ $scheme }}
  periodSeconds: 10
  timeoutSeconds: 5
{{- end -}}
