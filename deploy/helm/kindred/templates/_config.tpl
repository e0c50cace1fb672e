{{/* The options of each role: what `kindred agent --config` reads. */}}

{{/* Both roles'. */}}
{{- define "kindred.commonOptions" -}}
{{- $o := dict "intake-host" .Values.reducer.host "intake-port" .Values.reducer.port -}}
{{- $_ := set $o "log-format" .Values.log.format -}}
{{- $_ = set $o "log-level" .Values.log.level -}}
{{- $_ = set $o "probe-listen" (printf ":%v" .Values.probe.port) -}}
{{- if .Values.reducer.tls.enabled -}}
{{- $_ = set $o "intake-tls" true -}}
{{- if .Values.reducer.tls.caSecret }}{{ $_ = set $o "intake-ca-file" "/etc/kindred/reducer/ca.crt" }}{{ end -}}
{{- end -}}
{{- if .Values.clusterName }}{{ $_ = set $o "agent-cluster" .Values.clusterName }}{{ end -}}
{{- if .Values.probe.tls.secretName -}}
{{- $_ = set $o "probe-tls-cert-file" "/etc/kindred/probe/tls.crt" -}}
{{- $_ = set $o "probe-tls-key-file" "/etc/kindred/probe/tls.key" -}}
{{- end -}}
{{- if ne .Values.probe.auth "none" }}{{ $_ = set $o "probe-auth" .Values.probe.auth }}{{ end -}}
{{- $follow := list -}}
{{- range .Values.followOwners }}{{ $follow = append $follow (printf "%s/%s" .group .kind) }}{{ end -}}
{{- if $follow }}{{ $_ = set $o "follow-owners" $follow }}{{ end -}}
{{- $o | toJson -}}
{{- end -}}

{{- define "kindred.agentConfig" -}}
{{- $o := include "kindred.commonOptions" . | fromJson -}}
{{- $f := .Values.node.flows -}}
{{- $_ := set $o "scope" "node" -}}
{{- $_ = set $o "flows" $f.mode -}}
{{- /* Below the limit of memory: one node's pods take a hundredth of it. */ -}}
{{- $_ = set $o "inventory-max" "64MiB" -}}
{{- /* The host's loopback is every local program's. */ -}}
{{- $_ = set $o "listen" "off" -}}
{{- if include "kindred.hasFlows" . -}}
{{- $_ = set $o "udp" (ternary "on" "off" $f.udp) -}}
{{- $_ = set $o "cgroup-root" "/host/sys/fs/cgroup" -}}
{{- end -}}
{{- if include "kindred.hasPeers" . -}}
{{- $_ = set $o "peers" (printf "https://%s.%s.svc:%v" (include "kindred.collectorName" .) .Release.Namespace .Values.peers.port) -}}
{{- $_ = set $o "peers-token-file" "/etc/kindred/peers-token/token" -}}
{{- $_ = set $o "peers-ca-file" "/etc/kindred/peers-tls/ca.crt" -}}
{{- end -}}
{{- if include "kindred.hasOtlp" . -}}
{{- $_ = set $o "otlp" .Values.otlp.endpoint -}}
{{- if .Values.otlp.tokenSecret }}{{ $_ = set $o "otlp-token-file" "/etc/kindred/otlp-token/token" }}{{ end -}}
{{- if .Values.otlp.headersSecret }}{{ $_ = set $o "otlp-headers-file" "/etc/kindred/otlp-headers/headers" }}{{ end -}}
{{- if .Values.otlp.caSecret }}{{ $_ = set $o "otlp-ca-file" "/etc/kindred/otlp-ca/ca.crt" }}{{ end -}}
{{- end -}}
{{- if .Values.rbac.watchConfig -}}
{{- $_ = set $o "watch-config" (printf "%s/%s" .Release.Namespace (include "kindred.agentName" .)) -}}
{{- end -}}
{{- mergeOverwrite $o .Values.node.config | toYaml -}}
{{- end -}}

{{- define "kindred.collectorConfig" -}}
{{- $o := include "kindred.commonOptions" . | fromJson -}}
{{- $c := .Values.collector -}}
{{- $old := .Values.config -}}
{{- $_ := set $o "scope" "cluster" -}}
{{- $_ = set $o "flows" "off" -}}
{{- if .Values.clusterName }}{{ $_ = set $o "cluster-name" .Values.clusterName }}{{ end -}}
{{- if $c.namespaces }}{{ $_ = set $o "namespaces" $c.namespaces }}{{ end -}}
{{- if $c.leaderElection -}}
{{- $_ = set $o "leader-election" "on" -}}
{{- $_ = set $o "lease-name" (include "kindred.lease" .) -}}
{{- else -}}
{{- $_ = set $o "leader-election" "off" -}}
{{- end -}}
{{- if include "kindred.hasPeers" . -}}
{{- $_ = set $o "serve-peers" true -}}
{{- $_ = set $o "listen" (printf ":%v" .Values.peers.port) -}}
{{- $_ = set $o "tls-cert-file" "/etc/kindred/peers-tls/tls.crt" -}}
{{- $_ = set $o "tls-key-file" "/etc/kindred/peers-tls/tls.key" -}}
{{- $_ = set $o "listen-token-file" "/etc/kindred/peers-token/token" -}}
{{- end -}}
{{- if $c.vector }}{{ $_ = set $o "vector" $c.vector }}{{ end -}}
{{- if $c.graph }}{{ $_ = set $o "graph" $c.graph }}{{ end -}}
{{- if $c.events }}{{ $_ = set $o "events" $c.events }}{{ end -}}
{{- if $c.capabilities }}{{ $_ = set $o "capabilities" $c.capabilities }}{{ end -}}
{{- if $c.keepResources }}{{ $_ = set $o "resources" "on" }}{{ end -}}
{{- if include "kindred.hasResync" . -}}
{{- $_ = set $o "resync-listen" (default (printf ":%s" (include "kindred.resyncPort" .)) $old.apiBindAddress) -}}
{{- end -}}
{{- if $old.restEndpoint }}{{ $_ = set $o "rest-endpoint" $old.restEndpoint }}{{ end -}}
{{- with include "kindred.names" $old.watchResourceTypes | fromJsonArray }}{{ $_ = set $o "watch-resources" . }}{{ end -}}
{{- with include "kindred.names" $old.excludeResourceTypes | fromJsonArray }}{{ $_ = set $o "exclude-resources" . }}{{ end -}}
{{- with $old.debounceWindowMs }}{{ $_ = set $o "debounce" (printf "%vms" (int64 .)) }}{{ end -}}
{{- with $old.batchFlushIntervalMs }}{{ $_ = set $o "batch-interval" (printf "%vms" (int64 .)) }}{{ end -}}
{{- with $old.batchMaxSize }}{{ $_ = set $o "batch-size" (int64 .) }}{{ end -}}
{{- if not (kindIs "invalid" $old.resyncIntervalMin) }}{{ $_ = set $o "resync-interval" (int64 $old.resyncIntervalMin) }}{{ end -}}
{{- if $old.logLevel }}{{ $_ = set $o "log-level" $old.logLevel }}{{ end -}}
{{- if .Values.rbac.watchConfig -}}
{{- $_ = set $o "watch-config" (printf "%s/%s" .Release.Namespace (include "kindred.collectorName" .)) -}}
{{- end -}}
{{- mergeOverwrite $o .Values.collector.config | toYaml -}}
{{- end -}}
