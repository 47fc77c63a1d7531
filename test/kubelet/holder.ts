// A program that makes a container in the runtime of a directory, says which, and then works on until it is killed.
import { systemClock } from "../../src/system/index.ts";
import { createLoopbackNetwork } from "../../src/kubelet/network/loopback.ts";
import { noIsolation } from "../../src/kubelet/runtime/isolation.ts";
import { createProcessRuntime } from "../../src/kubelet/runtime/process.ts";

const [dir = "", logPath = "", ...supervisor] = process.argv.slice(2);
const network = createLoopbackNetwork({ dir });
await network.setUp(["127.42.10.0/24"]);
const images = { sh: { command: ["/bin/sh"] } };
const runtime = createProcessRuntime({ dir, network, isolation: noIsolation, images, clock: systemClock, supervisor });
const dns = { servers: [], searches: [], options: [] };
const sandbox = await runtime.createSandbox({
  podUid: "u",
  namespace: "default",
  name: "a",
  attempt: 0,
  hostname: "a",
  names: ["a"],
  hostNetwork: false,
  hostPorts: [],
  dns,
  hostAliases: [],
});
const id = await runtime.createContainer({
  sandboxId: sandbox.id,
  podUid: "u",
  name: "main",
  attempt: 0,
  image: "sh",
  command: undefined,
  args: ["-c", "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.01; done"],
  env: {},
  workingDir: undefined,
  mounts: [],
  volumesDirectory: dir,
  user: undefined,
  group: undefined,
  supplementalGroups: [],
  logPath,
  stopSignal: "SIGTERM",
});
await runtime.startContainer(id);
process.stdout.write(`${id}\n`);
for (;;) await runtime.list();
