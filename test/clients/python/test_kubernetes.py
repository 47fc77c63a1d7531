"""Python's `kubernetes` client against the cluster that KUBECONFIG names, with its default settings."""

import base64
import datetime
import io
import json
import os
import shutil
import tarfile
import tempfile
import threading
import time
import unittest
import uuid

import yaml
from kubernetes import client, config, dynamic, utils, watch
from kubernetes.client.rest import ApiException
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock import configmaplock
from kubernetes.stream import portforward, stream

PATIENCE = 60


def eventually(what, probe):
    until = time.monotonic() + PATIENCE
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > until:
            raise AssertionError(what)
        time.sleep(0.05)


def may(ask):
    try:
        return ask()
    except ApiException as refused:
        if refused.status != 403:
            raise
        return None


class Cluster(unittest.TestCase):
    def setUp(self):
        config.load_kube_config()
        self.core = client.CoreV1Api()
        self.namespace = f"python-{uuid.uuid4().hex[:8]}"
        self.core.create_namespace({"metadata": {"name": self.namespace}})
        self.addCleanup(self.core.delete_namespace, self.namespace)

    def pod(self, name="echo"):
        spec = {"containers": [{"name": "echo", "image": "fairlead.dev/echo"}]}
        self.core.create_namespaced_pod(self.namespace, {"metadata": {"name": name}, "spec": spec})
        eventually("the pod runs", lambda: self.core.read_namespaced_pod(name, self.namespace).status.phase == "Running")

    def test_objects(self):
        secret = client.V1Secret(
            metadata=client.V1ObjectMeta(name="s", labels={"a": "b"}), data={"k": base64.b64encode(b"\x00\xff").decode()}
        )
        made = self.core.create_namespaced_secret(self.namespace, secret)
        self.assertEqual(base64.b64decode(made.data["k"]), b"\x00\xff")
        self.assertIsInstance(made.metadata.creation_timestamp, datetime.datetime)
        made.string_data = {"t": "text"}
        self.core.replace_namespaced_secret("s", self.namespace, made)
        patched = self.core.patch_namespaced_secret("s", self.namespace, {"metadata": {"labels": {"a": None, "c": "d"}}})
        self.assertEqual(patched.metadata.labels, {"c": "d"})
        with self.assertRaises(ApiException) as raised:
            self.core.replace_namespaced_secret("s", self.namespace, made)
        self.assertEqual(raised.exception.status, 409)
        status = self.core.delete_namespaced_secret("s", self.namespace)
        self.assertEqual(status.status, "Success")
        with self.assertRaises(ApiException) as raised:
            self.core.read_namespaced_secret("s", self.namespace)
        self.assertEqual((raised.exception.status, raised.exception.reason), (404, "Not Found"))

    def test_watch(self):
        listed = self.core.list_namespaced_config_map(self.namespace)
        seen = []

        def follow():
            stop = watch.Watch()
            for event in stop.stream(
                self.core.list_namespaced_config_map,
                self.namespace,
                resource_version=listed.metadata.resource_version,
                timeout_seconds=PATIENCE,
            ):
                if event["object"].metadata.name == "a":
                    seen.append(event["type"])
                if event["type"] == "DELETED" and event["object"].metadata.name == "a":
                    stop.stop()

        follower = threading.Thread(target=follow)
        follower.start()
        self.core.create_namespaced_config_map(self.namespace, {"metadata": {"name": "a"}})
        self.core.patch_namespaced_config_map("a", self.namespace, {"data": {"k": "v"}})
        self.core.delete_namespaced_config_map("a", self.namespace)
        follower.join(PATIENCE)
        self.assertEqual(seen, ["ADDED", "MODIFIED", "DELETED"])

    def test_pages(self):
        for n in range(25):
            self.core.create_namespaced_config_map(self.namespace, {"metadata": {"name": f"page-{n:02}"}})
        names, token = [], None
        while True:
            page = self.core.list_namespaced_config_map(self.namespace, limit=10, _continue=token)
            names += [one.metadata.name for one in page.items if one.metadata.name.startswith("page-")]
            token = page.metadata._continue
            if not token:
                break
        self.assertEqual(names, [f"page-{n:02}" for n in range(25)])

    def test_deployment(self):
        apps = client.AppsV1Api()
        template = {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "echo", "image": "fairlead.dev/echo"}]},
        }
        utils.create_from_dict(
            client.ApiClient(),
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "web"},
                "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": template},
            },
            namespace=self.namespace,
        )
        eventually(
            "one is ready", lambda: apps.read_namespaced_deployment_status("web", self.namespace).status.ready_replicas == 1
        )
        apps.patch_namespaced_deployment_scale("web", self.namespace, {"spec": {"replicas": 0}})
        eventually("none is left", lambda: not apps.read_namespaced_deployment("web", self.namespace).status.replicas)

    def test_exec_and_log(self):
        self.pod()
        answer = stream(
            self.core.connect_get_namespaced_pod_exec,
            "echo",
            self.namespace,
            command=["sh", "-c", "echo out; echo err >&2; exit 4"],
            stdout=True,
            stderr=True,
            stdin=False,
            tty=False,
            _preload_content=False,
        )
        answer.run_forever(timeout=PATIENCE)
        self.assertEqual((answer.read_stdout(), answer.read_stderr(), answer.returncode), ("out\n", "err\n", 4))
        eventually("a line", lambda: self.core.read_namespaced_pod_log("echo", self.namespace, tail_lines=1))

    def forward(self, ports):
        """A forward whose first port answers: the pod may run and not listen yet."""

        def ask():
            forward = portforward(self.core.connect_get_namespaced_pod_portforward, "echo", self.namespace, ports=ports)
            socket = forward.socket(8080)
            socket.settimeout(PATIENCE)
            answer = b""
            try:
                socket.sendall(b"GET / HTTP/1.1\r\nHost: echo\r\nConnection: close\r\n\r\n")
                while chunk := socket.recv(4096):
                    answer += chunk
            except ConnectionError:
                return None
            return forward if answer.startswith(b"HTTP/1.1 200") else None

        return eventually("an answer", ask)

    def test_portforward(self):
        self.pod()
        self.assertIsNone(self.forward("8080").error(8080))

    def test_dynamic_and_custom_resources(self):
        group = f"{self.namespace}.example.com"
        name = f"things.{group}"
        extensions = client.ApiextensionsV1Api()
        schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}
        extensions.create_custom_resource_definition(
            {
                "metadata": {"name": name},
                "spec": {
                    "group": group,
                    "scope": "Namespaced",
                    "names": {"plural": "things", "singular": "thing", "kind": "Thing"},
                    "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
                },
            }
        )
        self.addCleanup(extensions.delete_custom_resource_definition, name)
        eventually(
            "it is established",
            lambda: any(
                one.type == "Established" and one.status == "True"
                for one in extensions.read_custom_resource_definition(name).status.conditions or []
            ),
        )
        things = dynamic.DynamicClient(client.ApiClient()).resources.get(api_version=f"{group}/v1", kind="Thing")
        body = {"apiVersion": f"{group}/v1", "kind": "Thing", "metadata": {"name": "a"}, "spec": {"size": 3}}
        things.create(body=body, namespace=self.namespace)
        with self.assertRaises(ApiException) as raised:
            bad = {**body, "metadata": {"name": "b"}, "spec": {"size": "big"}}
            client.CustomObjectsApi().create_namespaced_custom_object(group, "v1", self.namespace, "things", bad)
        self.assertEqual(raised.exception.status, 422)
        applied = things.server_side_apply(
            body={**body, "spec": {"size": 4}}, namespace=self.namespace, field_manager="python", force_conflicts=True
        )
        self.assertEqual(applied.spec.size, 4)

    def test_access(self):
        review = client.AuthorizationV1Api().create_self_subject_access_review(
            {"spec": {"resourceAttributes": {"verb": "create", "resource": "pods", "namespace": self.namespace}}}
        )
        self.assertTrue(review.status.allowed)
        eventually(
            "the default account", lambda: self.core.list_namespaced_service_account(self.namespace).items
        )
        token = self.core.create_namespaced_service_account_token("default", self.namespace, {"spec": {"audiences": []}})
        settings = client.Configuration.get_default_copy()
        settings.cert_file = settings.key_file = None
        settings.api_key = {"authorization": f"Bearer {token.status.token}"}
        robot = client.ApiClient(settings)
        who = client.AuthenticationV1Api(robot).create_self_subject_review({}).status.user_info
        self.assertEqual(who.username, f"system:serviceaccount:{self.namespace}:default")
        with self.assertRaises(ApiException) as raised:
            client.CoreV1Api(robot).list_namespaced_secret(self.namespace)
        self.assertEqual(raised.exception.status, 403)


    def test_watch_with_bookmarks(self):
        listed = self.core.list_namespaced_config_map(self.namespace)
        events = watch.Watch().stream(
            self.core.list_namespaced_config_map,
            self.namespace,
            resource_version=listed.metadata.resource_version,
            allow_watch_bookmarks=True,
            send_initial_events=None,
            timeout_seconds=2,
        )
        kinds = [event["type"] for event in events]
        self.assertTrue(set(kinds) <= {"ADDED", "BOOKMARK"}, kinds)
        initial = watch.Watch().stream(
            self.core.list_namespaced_config_map,
            self.namespace,
            allow_watch_bookmarks=True,
            send_initial_events=True,
            resource_version_match="NotOlderThan",
            timeout_seconds=2,
        )
        marked = [event for event in initial if event["type"] == "BOOKMARK"]
        self.assertEqual(marked[0]["raw_object"]["metadata"]["annotations"], {"k8s.io/initial-events-end": "true"})

    def test_patches(self):
        self.core.create_namespaced_config_map(self.namespace, {"metadata": {"name": "p"}, "data": {"a": "1", "b": "2"}})
        one = self.core.patch_namespaced_config_map(
            "p", self.namespace, [{"op": "replace", "path": "/data/a", "value": "3"}]
        )
        self.assertEqual(one.data, {"a": "3", "b": "2"})
        merged = self.core.patch_namespaced_config_map("p", self.namespace, {"data": {"b": None}})
        self.assertEqual(merged.data, {"a": "3"})
        applied = self.core.patch_namespaced_config_map(
            "p",
            self.namespace,
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "p"}, "data": {"c": "4"}},
            field_manager="python",
            _content_type="application/apply-patch+yaml",
        )
        self.assertEqual(applied.data, {"a": "3", "c": "4"})
        with self.assertRaises(ApiException) as raised:
            self.core.patch_namespaced_config_map(
                "p",
                self.namespace,
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "p"}, "data": {"a": "5"}},
                field_manager="python",
                _content_type="application/apply-patch+yaml",
            )
        self.assertEqual(raised.exception.status, 409)
        dry = self.core.patch_namespaced_config_map("p", self.namespace, {"data": {"d": "1"}}, dry_run="All")
        self.assertEqual(dry.data["d"], "1")
        self.assertNotIn("d", self.core.read_namespaced_config_map("p", self.namespace).data)

    def test_create_from_yaml(self):
        text = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec: {defaultBackend: {service: {name: web, port: {number: 80}}}}
"""
        utils.create_from_yaml(client.ApiClient(), yaml_objects=yaml.safe_load_all(text), namespace=self.namespace)
        service = self.core.read_namespaced_service("web", self.namespace)
        self.assertEqual(service.spec.ports[0].target_port, 80)
        ingress = client.NetworkingV1Api().read_namespaced_ingress("web", self.namespace)
        self.assertEqual(ingress.spec.default_backend.service.port.number, 80)
        with self.assertRaises(utils.FailToCreateError):
            utils.create_from_yaml(client.ApiClient(), yaml_objects=yaml.safe_load_all(text), namespace=self.namespace)

    def test_exec_with_a_terminal_and_input(self):
        self.pod()
        shell = stream(
            self.core.connect_get_namespaced_pod_exec,
            "echo",
            self.namespace,
            command=["sh"],
            stdout=True,
            stderr=True,
            stdin=True,
            tty=True,
            _preload_content=False,
        )
        shell.write_channel(4, '{"Width": 91, "Height": 31}')
        shell.write_stdin("test -t 0 && stty size; exit\n")
        text = ""
        until = time.monotonic() + PATIENCE
        while shell.is_open() and time.monotonic() < until:
            shell.update(timeout=1)
            text += shell.read_stdout() if shell.peek_stdout() else ""
        self.assertIn("31 91", text)

    def test_attach(self):
        container = {
            "name": "reader",
            "image": "fairlead.dev/echo",
            "command": ["sh", "-c", "while read line; do echo got $line; done"],
            "stdin": True,
        }
        self.core.create_namespaced_pod(self.namespace, {"metadata": {"name": "reader"}, "spec": {"containers": [container]}})
        eventually(
            "the pod runs", lambda: self.core.read_namespaced_pod("reader", self.namespace).status.phase == "Running"
        )
        attached = stream(
            self.core.connect_get_namespaced_pod_attach,
            "reader",
            self.namespace,
            stdin=True,
            stdout=True,
            stderr=True,
            _preload_content=False,
        )
        attached.write_stdin("one\n")
        self.assertEqual(attached.readline_stdout(timeout=PATIENCE), "got one")
        attached.close()

    def test_copy(self):
        """As the library's own example copies: tar through exec."""
        self.pod()
        folder = tempfile.mkdtemp(prefix="fairlead-python-")
        self.addCleanup(shutil.rmtree, folder, True)
        os.chmod(folder, 0o777)
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            entry = tarfile.TarInfo("file")
            entry.size = 7
            archive.addfile(entry, io.BytesIO(b"content"))
        target = stream(
            self.core.connect_get_namespaced_pod_exec,
            "echo",
            self.namespace,
            command=["tar", "xf", "-", "-C", folder],
            stdin=True,
            stdout=True,
            stderr=True,
            _preload_content=False,
        )
        target.write_stdin(packed.getvalue().decode())
        # A command ends with its connection: it is kept until the file is there.
        self.addCleanup(target.close)
        path = os.path.join(folder, "file")

        def content():
            return stream(
                self.core.connect_get_namespaced_pod_exec, "echo", self.namespace, command=["cat", path], stdout=True
            )

        eventually("the file is there", lambda: content() == "content")

    def test_portforward_of_two_ports(self):
        self.pod()
        forward = self.forward("8080,9")
        self.assertIsNone(forward.error(8080))
        closed = forward.socket(9)
        closed.settimeout(PATIENCE)
        self.assertEqual(closed.recv(1), b"")
        self.assertIn("9", forward.error(9))

    def test_log_is_followed(self):
        self.pod()
        lines = watch.Watch().stream(self.core.read_namespaced_pod_log, name="echo", namespace=self.namespace)
        for line in lines:
            self.assertIn("answers HTTP", line)
            break
        self.core.delete_namespaced_pod("echo", self.namespace, grace_period_seconds=0)

    def test_leader_election(self):
        led, lost = threading.Event(), threading.Event()

        def elect(identity, began):
            lock = configmaplock.ConfigMapLock("lead", self.namespace, identity)
            settings = electionconfig.Config(
                lock, lease_duration=4, renew_deadline=3, retry_period=1, onstarted_leading=began, onstopped_leading=lost.set
            )
            threading.Thread(target=leaderelection.LeaderElection(settings).run, daemon=True).start()

        elect("first", led.set)
        self.assertTrue(led.wait(PATIENCE))
        elect("second", lambda: None)
        time.sleep(2)
        record = self.core.read_namespaced_config_map("lead", self.namespace).metadata.annotations
        self.assertEqual(json.loads(record["control-plane.alpha.kubernetes.io/leader"])["holderIdentity"], "first")

    def test_metrics(self):
        custom = client.CustomObjectsApi()
        nodes = eventually("figures", lambda: custom.list_cluster_custom_object("metrics.k8s.io", "v1beta1", "nodes")["items"])
        self.assertRegex(nodes[0]["usage"]["memory"], r"^\d+(Ki|Mi)?$")

    def test_impersonation(self):
        eva = client.ApiClient()
        eva.set_default_header("Impersonate-User", "eva")
        with self.assertRaises(ApiException) as raised:
            client.CoreV1Api(eva).list_namespaced_secret(self.namespace)
        self.assertEqual(raised.exception.status, 403)
        self.assertIn('User "eva" cannot list resource', json.loads(raised.exception.body)["message"])
        client.RbacAuthorizationV1Api().create_namespaced_role_binding(
            self.namespace,
            {
                "metadata": {"name": "eva"},
                "subjects": [{"kind": "User", "name": "eva", "apiGroup": "rbac.authorization.k8s.io"}],
                "roleRef": {"kind": "ClusterRole", "name": "view", "apiGroup": "rbac.authorization.k8s.io"},
            },
        )
        eventually("she may look", lambda: may(lambda: client.CoreV1Api(eva).list_namespaced_config_map(self.namespace)))

    def test_versions_and_discovery(self):
        self.assertEqual(client.VersionApi().get_code().major, "1")
        self.assertIn("apps", [group.name for group in client.ApisApi().get_api_versions().groups])
        names = [one.name for one in self.core.get_api_resources().resources]
        self.assertIn("serviceaccounts/token", names)
        found = dynamic.DynamicClient(client.ApiClient()).resources.search(kind="Deployment")
        self.assertIn("apps/v1", [one.group_version for one in found])


if __name__ == "__main__":
    unittest.main()
