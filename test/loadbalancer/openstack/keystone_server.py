"""OpenStack's own Keystone on SQLite, on loopback: python keystone_server.py FOLDER PORT OCTAVIA_PORT.

The first start makes the database, a user and the catalogue. POST /_test/expiration?seconds=N changes how long new tokens live,
POST /_test/revoke ends all that exist.
"""

import os
import subprocess
import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server

from cryptography.fernet import Fernet

folder, port, octavia_port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
os.makedirs(folder, exist_ok=True)
config = os.path.join(folder, "keystone.conf")
with open(config, "w") as file:
    file.write(
        f"""[database]
connection = sqlite:///{folder}/keystone.db
[identity]
# What a password costs to try is not what is tried here: each login took a fifth of a second of the one thread.
password_hash_rounds = 4
[token]
provider = fernet
[fernet_tokens]
key_repository = {folder}/fernet
[fernet_receipts]
key_repository = {folder}/fernet
[credential]
key_repository = {folder}/credential
[cache]
enabled = true
backend = dogpile.cache.memory
"""
    )


def manage(*words):
    manager = os.path.join(os.path.dirname(sys.executable), "keystone-manage")
    # It prints a traceback of eventlet at its end that means nothing.
    subprocess.run([manager, "--config-file", config, *words], check=False, capture_output=True)


is_new = not os.path.exists(os.path.join(folder, "keystone.db"))
if is_new:
    # As fernet_setup and credential_setup do, without two more starts of the manager.
    for keys in ("fernet", "credential"):
        os.makedirs(os.path.join(folder, keys), mode=0o700)
        for number in ("0", "1"):
            with open(os.path.join(folder, keys, number), "wb") as file:
                file.write(Fernet.generate_key())
    manage("db_sync")
    url = f"http://127.0.0.1:{port}/v3"
    names = ["--bootstrap-username", "admin", "--bootstrap-password", "fairlead-secret-password"]
    urls = ["--bootstrap-public-url", url, "--bootstrap-internal-url", url, "--bootstrap-admin-url", url]
    manage("bootstrap", *names, *urls, "--bootstrap-region-id", "RegionOne")

from keystone.common import provider_api  # noqa: E402
from keystone.server.flask import core  # noqa: E402

sys.argv = sys.argv[:1]
application = core.initialize_application("public", config_files=[config])
apis = provider_api.ProviderAPIs

import keystone.conf  # noqa: E402
import logging  # noqa: E402

logging.getLogger().setLevel(logging.ERROR)
if is_new:
    octavia = f"http://127.0.0.1:{octavia_port}"
    service = {"id": "octavia", "type": "load-balancer", "name": "octavia", "enabled": True}
    apis.catalog_api.create_service("octavia", service)
    for interface in ("public", "internal", "admin"):
        name = f"octavia-{interface}"
        of = {"id": name, "service_id": "octavia", "region_id": "RegionOne", "url": octavia, "enabled": True}
        apis.catalog_api.create_endpoint(name, {**of, "interface": interface})


def with_control(environ, start_response):
    path, query = environ["PATH_INFO"], environ.get("QUERY_STRING", "")
    if path == "/_test/expiration":
        keystone.conf.CONF.set_override("expiration", int(query.split("=")[1]), group="token")
    elif path == "/_test/revoke":
        for user in apis.identity_api.list_users():
            apis.revoke_api.revoke_by_user(user["id"])
    else:
        return application(environ, start_response)
    start_response("204 No Content", [])
    return [b""]


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


server = make_server("127.0.0.1", port, with_control, handler_class=Quiet)
print("ready", flush=True)
server.serve_forever(poll_interval=0.02)
