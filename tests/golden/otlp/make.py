"""The bytes that OpenTelemetry's own library makes of what tests/unit/sink/otlp_encode.c encodes.

    python3 -m venv V && V/bin/pip install opentelemetry-proto==1.45.2
    V/bin/python tests/golden/otlp/make.py

Writes beside itself: records.bin, points.bin (requests), and partial.bin, warning.bin, status.bin
(answers, also the corpus of tests/fuzz/otlp_answer.c)."""

import os

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs_service
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics_service
from opentelemetry.proto.common.v1 import common_pb2 as common
from opentelemetry.proto.logs.v1 import logs_pb2 as logs
from opentelemetry.proto.metrics.v1 import metrics_pb2 as metrics
from opentelemetry.proto.resource.v1 import resource_pb2 as resource

HERE = os.path.dirname(os.path.abspath(__file__))
SCHEMA = "https://opentelemetry.io/schemas/1.44.0"
SEC = 10**9
WALL = 1795253400 * SEC     # 2026-11-21T09:30:00Z


def value(v):
    if isinstance(v, bool):
        return common.AnyValue(bool_value=v)
    if isinstance(v, int):
        return common.AnyValue(int_value=v)
    if isinstance(v, float):
        return common.AnyValue(double_value=v)
    return common.AnyValue(string_value=v)


def attributes(pairs):
    return [common.KeyValue(key=k, value=value(v)) for k, v in pairs]


RESOURCE = resource.Resource(attributes=attributes([
    ("service.name", "kindred"), ("service.version", "1.2"), ("service.instance.id", "i"),
    ("host.name", "h"), ("k8s.node.name", "n"), ("k8s.cluster.name", "c")]))
SCOPE = common.InstrumentationScope(name="kindred.flow", version="1.2")


# ---- records


def record(time, bad, body, event, number, pairs):
    return logs.LogRecord(
        time_unix_nano=time, observed_time_unix_nano=WALL + 9 * SEC,
        severity_number=logs.SEVERITY_NUMBER_WARN if bad else logs.SEVERITY_NUMBER_INFO,
        severity_text="WARN" if bad else "INFO", body=value(body), event_name=event,
        attributes=attributes([("log.record.uid", "i-%d" % number)] + pairs))


WEB = [("k8s.namespace.name", "shop"), ("k8s.deployment.name", "web"),
       ("kindred.workload.name", "web"), ("kindred.workload.kind", "Deployment")]
WEB_WHOLE = WEB + [("k8s.pod.name", "web-1"), ("k8s.pod.uid", "u-1"), ("k8s.container.name", "app"),
                   ("kindred.known_by", "cgroup")]
DB = [("k8s.namespace.name", "shop"), ("k8s.statefulset.name", "db"),
      ("kindred.workload.name", "db"), ("kindred.workload.kind", "StatefulSet")]
DB_WHOLE = DB + [("k8s.pod.name", "db-0"), ("k8s.pod.uid", "u-2"), ("kindred.known_by", "address")]


def end(side, pairs):
    return [(side + "." + k, v) for k, v in pairs]


def addresses(client, server, source, destination):
    """Those of the local end first."""
    out = []
    for name, (address, port) in (source, destination):
        out += [(name + ".address", address), (name + ".port", port)]
    for name, (address, port) in filter(None, (client, server)):
        out += [(name + ".address", address), (name + ".port", port)]
    return out


OPEN = record(WALL + 1 * SEC, False, "shop/web -> shop/db tcp open", "kindred.flow.open", 1, [
    ("network.transport", "tcp"), ("network.type", "ipv4"),
    ("network.peer.address", "10.96.0.1"), ("network.peer.port", 80)] +
    addresses(("client", ("10.1.2.3", 40000)), ("server", ("10.1.2.4", 8080)),
              ("source", ("10.1.2.3", 40000)), ("destination", ("10.1.2.4", 8080))) +
    end("source", WEB_WHOLE) + end("destination", DB_WHOLE) + [
        ("kindred.flow.direction", "out"), ("kindred.flow.id", 7), ("kindred.flow.state", "open"),
        ("kindred.flow.transmit.bytes", 5), ("kindred.flow.receive.bytes", 6),
        ("kindred.flow.transmit.packets", 2), ("kindred.flow.receive.packets", 3),
        ("kindred.flow.retransmits", 4), ("kindred.flow.rtt", 80 / 1e6)])

# Accepted here: the remote end is the source.
RESET = record(WALL + 4 * SEC, True, "fd00::9 -> shop/web tcp reset", "kindred.flow.close", 2, [
    ("network.transport", "tcp"), ("network.type", "ipv6")] +
    addresses(("server", ("fd00::1", 80)), ("client", ("fd00::9", 50000)),
              ("destination", ("fd00::1", 80)), ("source", ("fd00::9", 50000))) +
    end("source", [("kindred.unknown.reason", "not_on_node")]) + end("destination", WEB_WHOLE) + [
        ("kindred.flow.direction", "in"), ("kindred.flow.id", 8), ("kindred.flow.state", "reset"),
        ("error.type", "rst_received"), ("kindred.flow.duration", 3.0),
        ("kindred.flow.pre_existing", True),
        ("kindred.flow.transmit.bytes", 600), ("kindred.flow.receive.bytes", 2**40),
        ("kindred.flow.transmit.packets", 3), ("kindred.flow.receive.packets", 2),
        ("kindred.flow.retransmits", 0)])

# Bytes that are no UTF-8 stand in the host's name.
SILENT = record(WALL + 3 * SEC, False, "host/\ufffdx -> kube-system/dns udp closed",
                "kindred.flow.close", 3, [
    ("network.transport", "udp"), ("network.type", "ipv4")] +
    addresses(None, None, ("source", ("10.1.2.3", 40000)), ("destination", ("10.1.2.4", 8080))) +
    end("source", [("kindred.workload.name", "host/\ufffdx"), ("kindred.workload.kind", "Host"),
                   ("kindred.known_by", "host")]) +
    end("destination", [("k8s.namespace.name", "kube-system"), ("k8s.service.name", "dns"),
                        ("kindred.workload.name", "dns"), ("kindred.workload.kind", "Service"),
                        ("kindred.known_by", "address")]) + [
        ("kindred.flow.direction", "unknown"), ("kindred.flow.id", 9),
        ("kindred.flow.state", "closed"), ("kindred.flow.reason", "idle"),
        ("kindred.flow.duration", 2.0),
        ("kindred.flow.transmit.bytes", 0), ("kindred.flow.receive.bytes", 0),
        ("kindred.flow.transmit.packets", 0), ("kindred.flow.receive.packets", 0),
        ("kindred.flow.drops", 11)])

RECORDS = logs_service.ExportLogsServiceRequest(resource_logs=[logs.ResourceLogs(
    resource=RESOURCE, schema_url=SCHEMA, scope_logs=[logs.ScopeLogs(
        scope=SCOPE, schema_url=SCHEMA, log_records=[OPEN, RESET, SILENT])])])


# ---- points

TCP_PAIR = end("source", WEB) + end("destination", DB) + [("network.transport", "tcp")]
UDP_PAIR = end("source", [("kindred.unknown.reason", "address")]) + end("destination", DB) + [
    ("network.transport", "udp")]
OTHER = [("source.kindred.workload.name", "other"), ("destination.kindred.workload.name", "other"),
         ("network.transport", "tcp")]
BORN, TCP_BORN, UDP_BORN, NOW = 100 * SEC, 101 * SEC, 102 * SEC, 200 * SEC


def point(born, number, pairs):
    return metrics.NumberDataPoint(start_time_unix_nano=born, time_unix_nano=NOW, as_int=number,
                                   attributes=attributes(pairs))


def total(name, description, unit, points):
    return metrics.Metric(name=name, description=description, unit=unit, sum=metrics.Sum(
        data_points=points, is_monotonic=True,
        aggregation_temporality=metrics.AGGREGATION_TEMPORALITY_CUMULATIVE))


def io(born, sent, received, pairs):
    return [point(born, sent, pairs + [("network.io.direction", "transmit")]),
            point(born, received, pairs + [("network.io.direction", "receive")])]


POINTS = metrics_service.ExportMetricsServiceRequest(resource_metrics=[metrics.ResourceMetrics(
    resource=RESOURCE, schema_url=SCHEMA, scope_metrics=[metrics.ScopeMetrics(
        scope=SCOPE, schema_url=SCHEMA, metrics=[
            total("kindred.flow.io", "Payload bytes between two workloads.", "By",
                  io(BORN, 70, 80, OTHER) + io(TCP_BORN, 1000, 20, TCP_PAIR) +
                  io(UDP_BORN, 3, 0, UDP_PAIR)),
            total("kindred.flow.connections", "TCP connections that came up, and UDP conversations.",
                  "{connection}", [point(BORN, 1, OTHER), point(TCP_BORN, 2, TCP_PAIR),
                                   point(UDP_BORN, 1, UDP_PAIR)]),
            total("kindred.flow.failures", "TCP connections that never came up.", "{connection}",
                  [point(TCP_BORN, 1, TCP_PAIR + [("error.type", "refused")])]),
            total("kindred.flow.resets",
                  "TCP connections that came up and ended by a reset or an error.", "{connection}",
                  [point(TCP_BORN, 1, TCP_PAIR)]),
            total("kindred.flow.retransmits", "TCP segments sent again, SYNs included.",
                  "{segment}", [point(TCP_BORN, 5, TCP_PAIR)]),
            metrics.Metric(
                name="kindred.flow.rtt", unit="s", description="Smoothed round-trip time of TCP, "
                "each time a connection's counters were read.", histogram=metrics.Histogram(
                    aggregation_temporality=metrics.AGGREGATION_TEMPORALITY_CUMULATIVE,
                    data_points=[metrics.HistogramDataPoint(
                        start_time_unix_nano=TCP_BORN, time_unix_nano=NOW, count=2, sum=2500 / 1e6,
                        attributes=attributes(TCP_PAIR))])),
            total("kindred.flow.drops",
                  "UDP datagrams that arrived and found the socket's queue full.", "{datagram}",
                  [point(UDP_BORN, 4, UDP_PAIR)]),
        ])])])


# ---- answers


def status_class():
    """google.rpc.Status, which the package does not have."""
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(any_pb2.DESCRIPTOR.serialized_pb)
    f = descriptor_pb2.FileDescriptorProto(name="s.proto", package="google.rpc", syntax="proto3",
                                           dependency=["google/protobuf/any.proto"])
    m = f.message_type.add(name="Status")
    kind = descriptor_pb2.FieldDescriptorProto
    m.field.add(name="code", number=1, type=kind.TYPE_INT32, label=kind.LABEL_OPTIONAL)
    m.field.add(name="message", number=2, type=kind.TYPE_STRING, label=kind.LABEL_OPTIONAL)
    m.field.add(name="details", number=3, type=kind.TYPE_MESSAGE, label=kind.LABEL_REPEATED,
                type_name=".google.protobuf.Any")
    pool.Add(f)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("google.rpc.Status"))


def main():
    status = status_class()(code=3, message="attribute too long")
    status.details.add(type_url="type.googleapis.com/google.rpc.BadRequest", value=b"\n\0")
    files = {
        "records": RECORDS,
        "points": POINTS,
        "partial": logs_service.ExportLogsServiceResponse(
            partial_success=logs_service.ExportLogsPartialSuccess(
                rejected_log_records=300, error_message="quota")),
        "warning": metrics_service.ExportMetricsServiceResponse(
            partial_success=metrics_service.ExportMetricsPartialSuccess(
                error_message="use cumulative")),
        "status": status,
    }
    for name, message in files.items():
        with open(os.path.join(HERE, name + ".bin"), "wb") as f:
            f.write(message.SerializeToString(deterministic=True))


main()
