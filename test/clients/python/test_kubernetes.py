"""Python's `kubernetes` client against the cluster that KUBECONFIG names, with its default settings."""

import base64
import datetime
import threading
import time
import unittest
import uuid

from kubernetes import client, config, dynamic, utils, watch
from kubernetes.client.rest import ApiException
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

    def test_portforward(self):
        self.pod()
        forward = portforward(self.core.connect_get_namespaced_pod_portforward, "echo", self.namespace, ports="8080")
        socket = forward.socket(8080)
        socket.settimeout(PATIENCE)
        socket.sendall(b"GET / HTTP/1.1\r\nHost: echo\r\nConnection: close\r\n\r\n")
        answer = b""
        while chunk := socket.recv(4096):
            answer += chunk
        self.assertTrue(answer.startswith(b"HTTP/1.1 200"), answer[:100])
        self.assertIsNone(forward.error(8080))

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


if __name__ == "__main__":
    unittest.main()
