"""OpenStack's own Octavia API on SQLite, on loopback: python octavia_server.py FOLDER PORT KEYSTONE_PORT.

Its no-op driver never ends anything. What is pending is ended here, by the code that takes drivers' reports, as POST /_test/mode with JSON says:
delay (milliseconds until something pending ends), errors (so many next endings are ERROR), flaps (so many ends go ACTIVE, PENDING, ACTIVE),
hold (nothing ends).  GET /_test/writes counts requests that write, and how they were answered.
"""

import json
import logging
import os
import sys
import time
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

folder, port, keystone_port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
os.makedirs(folder, exist_ok=True)
config = os.path.join(folder, "octavia.conf")
database = os.path.join(folder, "octavia.db")
with open(config, "w") as file:
    file.write(
        f"""[DEFAULT]
transport_url = fake://
[database]
connection = sqlite:///{database}
[api_settings]
bind_host = 127.0.0.1
auth_strategy = keystone
enabled_provider_drivers = noop_driver:noop
default_provider_driver = noop_driver
[keystone_authtoken]
www_authenticate_uri = http://127.0.0.1:{keystone_port}
auth_url = http://127.0.0.1:{keystone_port}
auth_type = password
username = admin
password = fairlead-secret-password
project_name = admin
user_domain_id = default
project_domain_id = default
token_cache_time = 1
[controller_worker]
network_driver = network_noop_driver
compute_driver = compute_noop_driver
amphora_driver = amphora_noop_driver
[certificates]
cert_manager = local_cert_manager
"""
    )

from octavia.api import app as octavia_app  # noqa: E402
from octavia.api.drivers.driver_agent import driver_updater  # noqa: E402
from octavia.common import config as octavia_config  # noqa: E402
from octavia.common import constants  # noqa: E402
from octavia.db import api as db_api  # noqa: E402
from octavia.db import base_models, models  # noqa: E402

# SQLite on a file knows no time-out of a pool of connections.
octavia_config.cfg.CONF.set_override("pool_timeout", None, group="database")
is_new = not os.path.exists(database)
application = octavia_app.setup_app(argv=["octavia-api", "--config-file", config])
logging.getLogger().setLevel(logging.ERROR)


def first_start():
    """The tables and their constants: the migrations do not run on SQLite."""
    base_models.BASE.metadata.create_all(db_api.get_engine())
    session = db_api.get_session()
    with session.begin():
        for names, model in (
            (constants.SUPPORTED_PROVISIONING_STATUSES, models.ProvisioningStatus),
            (constants.SUPPORTED_HEALTH_MONITOR_TYPES, models.HealthMonitorType),
            (constants.SUPPORTED_LB_ALGORITHMS, models.Algorithm),
            (constants.SUPPORTED_PROTOCOLS, models.Protocol),
            (constants.SUPPORTED_OPERATING_STATUSES, models.OperatingStatus),
            (constants.SUPPORTED_SP_TYPES, models.SessionPersistenceType),
            (constants.SUPPORTED_AMPHORA_ROLES, models.AmphoraRoles),
            (constants.SUPPORTED_LB_TOPOLOGIES, models.LBTopology),
            (constants.SUPPORTED_VRRP_AUTH, models.VRRPAuthMethod),
            (constants.SUPPORTED_L7RULE_TYPES, models.L7RuleType),
            (constants.SUPPORTED_L7RULE_COMPARE_TYPES, models.L7RuleCompareType),
            (constants.SUPPORTED_L7POLICY_ACTIONS, models.L7PolicyAction),
            (constants.SUPPORTED_CLIENT_AUTH_MODES, models.ClientAuthenticationMode),
        ):
            for name in names:
                session.add(model(name=name))


if is_new:
    first_start()

mode = {"delay": 0, "errors": 0, "flaps": 0, "hold": False}
writes = {}
#: When each load balancer was first seen pending, and how often it has flapped.
since, flapped = {}, {}
kinds = (
    ("members", models.Member),
    ("healthmonitors", models.HealthMonitor),
    ("pools", models.Pool),
    ("l7rules", models.L7Rule),
    ("l7policies", models.L7Policy),
    ("listeners", models.Listener),
)


def end_pending():
    if mode["hold"]:
        return
    session = db_api.get_session()
    with session.begin():
        # Members have no load balancer of their own in the tables: what waits ends with the first that is due.
        pending = [
            (one.id, one.provisioning_status)
            for one in session.query(models.LoadBalancer).filter(models.LoadBalancer.provisioning_status.like("PENDING%"))
        ]
        # With a load balancer goes all that is below it: its driver's duty.
        going = {one for one, status in pending if status == "PENDING_DELETE"}
        below = {name: [] for name, _ in kinds}
        if pending:
            for name, model in kinds:
                for one in session.query(model):
                    of = owner(one)
                    if of in going or one.provisioning_status.startswith("PENDING"):
                        below[name].append((one.id, "PENDING_DELETE" if of in going else one.provisioning_status, of))
    now = time.monotonic()
    for known in set(since) - {one for one, _ in pending}:
        del since[known]
    for balancer, status in pending:
        begun = since.setdefault(balancer, now)
        if (now - begun) * 1000 < mode["delay"]:
            continue
        is_error = mode["errors"] > 0
        if is_error:
            mode["errors"] -= 1
        elif flapped.get(balancer, 0) < mode["flaps"]:
            flapped[balancer] = flapped.get(balancer, 0) + 1
            since[balancer] = now
            report({"loadbalancers": [{"id": balancer, "provisioning_status": "ACTIVE"}]})
            report({"loadbalancers": [{"id": balancer, "provisioning_status": status}]})
            continue
        ends = {
            name: [
                {"id": one, **ended(was, is_error)} for one, was, of in found if of == balancer
            ]
            for name, found in below.items()
        }
        report({**ends, "loadbalancers": [{"id": balancer, **ended(status, is_error)}]})
        since.pop(balancer, None)


def owner(one):
    if isinstance(one, models.Member):
        return one.pool.load_balancer_id
    if isinstance(one, models.HealthMonitor):
        return one.pool.load_balancer_id
    if isinstance(one, models.L7Policy):
        return one.listener.load_balancer_id
    if isinstance(one, models.L7Rule):
        return one.l7policy.listener.load_balancer_id
    return one.load_balancer_id


def ended(was, is_error):
    if is_error:
        return {"provisioning_status": "ERROR", "operating_status": "ERROR"}
    if was == "PENDING_DELETE":
        return {"provisioning_status": "DELETED", "operating_status": "OFFLINE"}
    return {"provisioning_status": "ACTIVE", "operating_status": "ONLINE"}


def report(status):
    answer = driver_updater.DriverUpdater().update_loadbalancer_status(status)
    if answer["status_code"] != 200:
        print(answer, file=sys.stderr, flush=True)


def with_control(environ, start_response):
    path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
    if path == "/_test/mode":
        length = int(environ.get("CONTENT_LENGTH") or 0)
        mode.update(json.loads(environ["wsgi.input"].read(length)))
        flapped.clear()
        start_response("204 No Content", [])
        return [b""]
    if path == "/_test/writes":
        body = json.dumps(writes).encode()
        writes.clear()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    def counted(status, headers, *rest):
        if method != "GET":
            writes[status[:3]] = writes.get(status[:3], 0) + 1
        return start_response(status, headers, *rest)

    return application(environ, counted)


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


class Server(WSGIServer):
    request_queue_size = 128

    def service_actions(self):
        end_pending()


server = make_server("127.0.0.1", port, with_control, server_class=Server, handler_class=Quiet)
print("ready", flush=True)
server.serve_forever(poll_interval=0.05)
